"""Recurrent layers for Keras 3: drop-ins for `keras.layers.LSTM` and its kin."""

from zoo.layers.attention_lstm import AttentionLSTM, AttentionLSTMCell
from zoo.layers.gru import GRU
from zoo.layers.lstm import LSTM, LSTMCell
from zoo.layers.multiplicative_lstm import MultiplicativeLSTM, MultiplicativeLSTMCell
from zoo.layers.peephole_lstm import PeepholeLSTM, PeepholeLSTMCell
from zoo.layers.simple_rnn import SimpleRNN

__all__ = [
    "AttentionLSTM",
    "AttentionLSTMCell",
    "GRU",
    "LSTM",
    "LSTMCell",
    "MultiplicativeLSTM",
    "MultiplicativeLSTMCell",
    "PeepholeLSTM",
    "PeepholeLSTMCell",
    "SimpleRNN",
]
