"""The commands of the command line, one module each with ``run(arguments)``; imported only when they are called."""
