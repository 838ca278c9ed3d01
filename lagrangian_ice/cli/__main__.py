"""``python -m lagrangian_ice.cli``."""

from lagrangian_ice.cli import main

if __name__ == "__main__":
    main()
