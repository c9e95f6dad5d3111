"""The settings, and the only reader of the environment. Every mistake in them is told at once; no secret is ever shown.

Adding a setting is adding a field with its docstring: `.env.example` and the README's table are made from the model.

    kinds.py            what a value has to be: in code, and in words
    resources.py        what can be set of one resource among several
    model.py            what can be set, what goes together, and the plans that come of it
    variables.py        the same fields as variables: what each takes, and which are secrets
    loading.py          from file and environment to settings, or to every mistake at once
    documentation.py    `.env.example` and the README's table
"""
