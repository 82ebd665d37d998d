"""The tests of Keras itself, with our layers in the places of its own."""

import pytest

import zoo

pytestmark = pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")  # by Keras' `run_layer_test`

own = {
    name: pytest.importorskip(f"keras.src.layers.rnn.{name}_test", reason="a private module of Keras")
    for name in ("lstm", "gru", "simple_rnn", "bidirectional", "stacked_rnn_cells")
}


class InPlace:
    """The tests after it among the bases see `replacements` in `keras.layers`."""

    replacements = {}

    @pytest.fixture(autouse=True)
    def replace(self, monkeypatch):
        for name, ours in self.replacements.items():
            monkeypatch.setattr(f"keras.src.layers.{name}", ours)


class TestLSTM(InPlace, own["lstm"].LSTMTest):
    replacements = {"LSTM": zoo.layers.LSTM}


class TestPeepholeLSTM(InPlace, own["lstm"].LSTMTest):
    """Peepholes start at zero: it is the LSTM."""

    replacements = {"LSTM": zoo.layers.PeepholeLSTM}
    test_basics = None  # it counts the weights


class TestGRU(InPlace, own["gru"].GRUTest):
    replacements = {"GRU": zoo.layers.GRU}


class TestSimpleRNN(InPlace, own["simple_rnn"].SimpleRNNTest):
    replacements = {"SimpleRNN": zoo.layers.SimpleRNN}


class TestBidirectional(InPlace, own["bidirectional"].SimpleRNNTest):
    replacements = {"LSTM": zoo.layers.LSTM, "GRU": zoo.layers.GRU, "SimpleRNN": zoo.layers.SimpleRNN}
    test_fused_lstm_eligibility = None  # ours must never take that path: see test_drop_in.py


class TestBidirectionalPeephole(InPlace, own["bidirectional"].SimpleRNNTest):
    replacements = {"LSTM": zoo.layers.PeepholeLSTM}
    test_fused_lstm_eligibility = None  # ours must never take that path: see test_drop_in.py


class TestStackedCells(InPlace, own["stacked_rnn_cells"].StackedRNNTest):
    replacements = {"LSTMCell": zoo.layers.LSTMCell}
    test_basics = pytest.mark.slow(own["stacked_rnn_cells"].StackedRNNTest.test_basics)


class TestStackedPeepholeCells(InPlace, own["stacked_rnn_cells"].StackedRNNTest):
    replacements = {"LSTMCell": zoo.layers.PeepholeLSTMCell}
    test_basics = None  # it counts the weights
