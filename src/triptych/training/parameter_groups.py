"""Which parameters of a model are what: optimizers treat matrices, biases and embeddings differently.

Any module of a model may say so in two attributes, tuples of names:

- `embeddings`: names of its own parameters that are added to activations, such as tokens and positions.
- `ends`: names of its layers that meet the world: pixels at the first one, classes at the last one.
"""

from torch import nn

from triptych.workflow.errors import TriptychError


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _said(module: nn.Module, attribute: str) -> tuple[str, ...]:
    """Names that a module gives; an attribute of that name may be something else, a layer say.

    Raises:
        TriptychError: names are given in another way, or the module does not have what they name.
    """
    names = getattr(module, attribute, ())
    what = f"{type(module).__name__}.{attribute}"
    if isinstance(names, str) or (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise TriptychError(f"{what} is {names!r}; optimizers need a tuple of names: ('token',), say")
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        return ()
    having = module.named_parameters if attribute == "embeddings" else module.named_modules
    own = {name for name, _ in having(remove_duplicate=False)}
    if unknown := sorted(set(names) - own):
        raise TriptychError(f"{what} names {', '.join(unknown)}, which {type(module).__name__} does not have")
    return names


def additive(model: nn.Module) -> set[str]:
    """Names of parameters that are not multiplied with activations as matrices.

    These are biases, scales and shifts of norms, weights of `nn.Embedding`, and what `embeddings` name.
    """
    names = {name for name, value in model.named_parameters() if value.ndim <= 1}
    for prefix, module in model.named_modules():
        names.update(_join(prefix, name) for name in _said(module, "embeddings"))
        if isinstance(module, nn.Embedding):
            names.add(_join(prefix, "weight"))
    return names


def hidden(model: nn.Module) -> set[str]:
    """Names of the trained weights of hidden layers: matrices and filters, but not those of the `ends`.

    Where no module names its ends, the model's first and last layers are taken, in the order in which
    they were defined.
    """
    others = additive(model)
    weights = [
        name
        for name, value in model.named_parameters()
        if value.requires_grad and name not in others and name.endswith("weight")
    ]
    ends = [_join(prefix, name) for prefix, module in model.named_modules() for name in _said(module, "ends")]
    if not ends:
        return set(weights[1:-1])
    return {name for name in weights if not name.startswith(tuple(f"{end}." for end in ends))}
