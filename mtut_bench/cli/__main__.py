"""``python -m mtut_bench.cli``: the same as the ``mtut-bench`` program."""

from mtut_bench.cli import main

if __name__ == "__main__":
    main()
