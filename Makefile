# Two commands for a fresh machine: `make demo` and `make test`. Both make .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: demo test slow lint clean

# TensorFlow's notices at start are shown only where something fails.
QUIETLY = 2> $(VENV)/notices || { cat $(VENV)/notices >&2; false; }

demo: $(VENV)/installed
	@$(BIN)/zoo list $(QUIETLY)
	@echo
	@echo 'zoo generate mlstm-shakespeare --prompt "ROMEO:" --length 400 --temperature 0.8 --seed 1'
	@$(BIN)/zoo generate mlstm-shakespeare --prompt "ROMEO:" --length 400 --temperature 0.8 --seed 1 $(QUIETLY)
	@echo
	@echo 'zoo generate mlstm-linux --prompt "static int " --length 400 --temperature 0.5 --seed 1'
	@$(BIN)/zoo generate mlstm-linux --prompt "static int " --length 400 --temperature 0.5 --seed 1 $(QUIETLY)
	@echo
	@echo 'zoo classify mlstm-sentiment "A gorgeous, witty film." "I want my two hours back."'
	@$(BIN)/zoo classify mlstm-sentiment "A gorgeous, witty film." "I want my two hours back." $(QUIETLY)
	@echo
	@echo 'zoo trace mlstm-sentiment "I loved the first half, then it fell apart."'
	@$(BIN)/zoo trace mlstm-sentiment "I loved the first half, then it fell apart." $(QUIETLY)
	@echo
	@echo 'zoo generate mlstm-reviews --prompt "The film" --length 200 --clamp 420=-15 --seed 1'
	@$(BIN)/zoo generate mlstm-reviews --prompt "The film" --length 200 --clamp 420=-15 --seed 1 $(QUIETLY)
	@echo
	@echo 'zoo translate attention-en-de "A man rides a red bicycle." "I have never seen such a big dog."'
	@$(BIN)/zoo translate attention-en-de "A man rides a red bicycle." "I have never seen such a big dog." $(QUIETLY)
	@echo
	@echo 'zoo translate attention-en-fr "Two dogs are playing in the snow."'
	@$(BIN)/zoo translate attention-en-fr "Two dogs are playing in the snow." $(QUIETLY)

test: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 --dist worksteal

slow: $(VENV)/installed-test
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@
