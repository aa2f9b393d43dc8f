"""The commands people type. Each module here is one command, called `command` in it; `main.COMMANDS` lists them."""
