"""Joins the deciding core with the acting adapters: the engine, its effects, the service."""
