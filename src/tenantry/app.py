"""Composition root: the only module that names concrete classes and wires them."""
