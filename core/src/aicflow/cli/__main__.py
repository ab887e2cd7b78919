"""`python -m aicflow.cli`."""

from aicflow.cli import main

if __name__ == "__main__":
    main()
