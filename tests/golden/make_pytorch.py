#!/usr/bin/env python3
"""Make pytorch.h5: what PyTorch computes, for weft's tests to agree with.

    python3 make_pytorch.py [FILE]        (default: pytorch.h5 beside this script)

Needs torch and h5py only; run by hand, never by the build. The committed file was made with Python
3.11, torch 2.13.0 (CPU), h5py 3.16.0 (HDF5 2.0.0). Two runs with the same versions give the same
bytes. README.md describes the layout of the file and what a reader has to know.

Everything is float64 (ids: int32), tiny, without dropout. weft packs the sentences of a batch one
after the other; PyTorch pads them and masks the padding. So inputs are stored packed, padded here,
and outputs and gradients are packed again. Every case with sentences is also computed one sentence
at a time, without padding and masks, and the two must agree: a mistake in the masks cannot slip
into the oracle.
"""

import math
import sys
import warnings
import zlib
from pathlib import Path

import h5py
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

BOS, EOS, FIRST_WORD = 1, 2, 3  # ids of <s>, </s> and the first ordinary token
SMOOTHING = 0.1

# Codes of the attributes, so that a reader needs no strings.
RELU, GELU, GELU_TANH = 1, 2, 3
TIE_NONE, TIE_TARGET_OUTPUT, TIE_ALL = 0, 1, 2
ACTIVATION = {RELU: F.relu, GELU: F.gelu, GELU_TANH: lambda x: F.gelu(x, approximate="tanh")}
SUFFIX = {RELU: "relu", GELU: "gelu", GELU_TANH: "gelu_tanh"}


# ---- the file --------------------------------------------------------------------------------


def create_file(path):
    """An HDF5 file that any HDF5 >= 1.8 reads and that holds no time stamp."""
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_V18, h5py.h5f.LIBVER_V18)
    name = str(path).encode()
    return h5py.File(h5py.h5f.create(name, h5py.h5f.ACC_TRUNC, creation, access))


def create_group(parent, name):
    creation = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    creation.set_obj_track_times(False)
    return h5py.Group(h5py.h5g.create(parent.id, name.encode(), gcpl=creation))


class Case:
    """One group of the file: numeric attributes, and parts (subgroups) with named tensors."""

    def __init__(self, parent, name, **attributes):
        self.group = create_group(parent, name)
        self.note(**attributes)
        torch.manual_seed(zlib.crc32(self.group.name.encode()))  # cases do not shift each other

    def note(self, **attributes):
        for key, value in attributes.items():
            self.group.attrs[key] = value if isinstance(value, float) else int(value)

    def put(self, part, tensors):
        group = self.group[part] if part in self.group else create_group(self.group, part)
        for name, tensor in tensors.items():
            array = tensor.detach().contiguous().numpy()
            if array.dtype in ("int64", "bool"):
                array = array.astype("int32")
            group.create_dataset(name, data=array, track_times=False)


def named(module, what):
    return {name: what(p) for name, p in module.named_parameters()}


# ---- packed sentences ------------------------------------------------------------------------


def offsets(lengths):
    return torch.tensor([0, *lengths]).cumsum(0)


def row_keys(lengths):
    """[N, 2]: sentence number and position of each packed row."""
    return torch.tensor([[b, t] for b, length in enumerate(lengths) for t in range(length)])


def pad(packed, lengths):
    return pad_sequence(packed.split(lengths), batch_first=True)


def pack(padded, lengths):
    return torch.cat([rows[:length] for rows, length in zip(padded, lengths)])


def padding(lengths):
    """True where there is no token, as PyTorch's Transformer wants it."""
    return torch.arange(max(lengths)) >= torch.tensor(lengths)[:, None]


def causal_mask(length):
    return torch.ones(length, length, dtype=torch.bool).triu(1)


def must_agree(a, b, what):
    worst = (a - b).abs().max().item()
    assert worst < 1e-12, f"{what}: batch and single sentences differ by {worst}"


# ---- the common steps of a case --------------------------------------------------------------


def randomise(module):
    """Values that hide nothing: no bias is 0, no gain is 1."""
    for name, p in module.named_parameters():
        if p.dim() > 1:
            nn.init.xavier_uniform_(p)
        else:
            nn.init.normal_(p, 1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.3)


def leaf(*shape):
    return torch.randn(*shape, requires_grad=True)


def put_gradients(case, inputs, outputs, module=None):
    """Store inputs, outputs, a random upstream gradient of each output, and what comes back."""
    upstream = {name: torch.randn_like(y) for name, y in outputs.items()}
    torch.autograd.backward(list(outputs.values()), list(upstream.values()))
    case.put("input", inputs)
    case.put("output", outputs)
    case.put("doutput", upstream)
    case.put("dinput", {name: x.grad for name, x in inputs.items() if x.requires_grad})
    if module is not None:
        case.put("param", named(module, lambda p: p))
        case.put("dparam", named(module, lambda p: p.grad))


# ---- 1. layers -------------------------------------------------------------------------------

LAYER = {"d_model": 9, "nhead": 3, "dim_feedforward": 11, "dropout": 0.0, "batch_first": True}


def encoder_layer(parent, activation, norm_first):
    name = f"encoder_{'pre' if norm_first else 'post'}_{SUFFIX[activation]}"
    case = Case(parent, name, heads=LAYER["nhead"], norm_first=norm_first, activation=activation)
    layer = nn.TransformerEncoderLayer(
        **LAYER, activation=ACTIVATION[activation], norm_first=norm_first
    )
    randomise(layer)
    lengths = [4, 1, 6]
    x = leaf(sum(lengths), LAYER["d_model"])
    y = pack(layer(pad(x, lengths), src_key_padding_mask=padding(lengths)), lengths)
    alone = torch.cat([layer(s[None])[0] for s in x.split(lengths)])
    must_agree(y, alone, name)
    put_gradients(case, {"x": x, "offsets": offsets(lengths)}, {"y": y}, layer)


def decoder_layer(parent, activation, norm_first):
    name = f"decoder_{'pre' if norm_first else 'post'}_{SUFFIX[activation]}"
    case = Case(parent, name, heads=LAYER["nhead"], norm_first=norm_first, activation=activation)
    layer = nn.TransformerDecoderLayer(
        **LAYER, activation=ACTIVATION[activation], norm_first=norm_first
    )
    randomise(layer)
    lengths, memory_lengths = [3, 5, 1], [2, 6, 4]
    x = leaf(sum(lengths), LAYER["d_model"])
    memory = leaf(sum(memory_lengths), LAYER["d_model"])
    padded = layer(
        pad(x, lengths),
        pad(memory, memory_lengths),
        tgt_mask=causal_mask(max(lengths)),
        tgt_key_padding_mask=padding(lengths),
        memory_key_padding_mask=padding(memory_lengths),
    )
    y = pack(padded, lengths)
    alone = torch.cat(
        [
            layer(s[None], m[None], tgt_mask=causal_mask(len(s)))[0]
            for s, m in zip(x.split(lengths), memory.split(memory_lengths))
        ]
    )
    must_agree(y, alone, name)
    inputs = {
        "x": x,
        "offsets": offsets(lengths),
        "memory": memory,
        "memory_offsets": offsets(memory_lengths),
    }
    put_gradients(case, inputs, {"y": y}, layer)


# ---- 2. encoder-decoder models ---------------------------------------------------------------


class Batch:
    """weft_batch: pairs of sentences, packed. A language model's sentences have no source."""

    def __init__(self, sources, targets, labels):
        self.sources, self.targets, self.labels = sources, targets, labels
        self.source_lengths = [len(s) for s in sources]
        self.target_lengths = [len(t) for t in targets]

    @staticmethod
    def random(source_lengths, target_lengths, n_source, n_target):
        """Lengths count </s> on the source side and <s> on the target side."""
        begin, end = torch.tensor([BOS]), torch.tensor([EOS])

        def words(lengths, n):
            return [torch.randint(FIRST_WORD, n, (length - 1,)) for length in lengths]

        sources, targets = words(source_lengths, n_source), words(target_lengths, n_target)
        return Batch(
            [torch.cat([s, end]) for s in sources],
            [torch.cat([begin, t]) for t in targets],
            [torch.cat([t, end]) for t in targets],
        )

    def tensors(self):
        tensors = {"labels": torch.cat(self.labels)}
        for side in ("source", "target") if self.sources else ("target",):
            sentences = self.sources if side == "source" else self.targets
            lengths = [len(s) for s in sentences]
            tensors[f"{side}_ids"] = torch.cat(sentences)
            tensors[f"{side}_offsets"] = offsets(lengths)
            tensors[f"{side}_rows"] = row_keys(lengths)
        return tensors

    def singles(self):
        for b in range(len(self.targets)):
            one = slice(b, b + 1)
            yield Batch(self.sources[one], self.targets[one], self.labels[one])


def sinusoid(length, width):
    """Interleaved, as "Attention Is All You Need" (Vaswani et al. 2017), section 3.5."""
    angle = torch.arange(length)[:, None] / 10000 ** (torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


class Translator(nn.Transformer):
    """nn.Transformer (so its parameter names) with embeddings, positions and an output matrix."""

    def __init__(self, n_source, n_target, n_layers, tie, norm_first, final_norm, activation):
        super().__init__(
            d_model=8,
            nhead=2,
            num_encoder_layers=n_layers,
            num_decoder_layers=n_layers,
            dim_feedforward=16,
            dropout=0.0,
            activation=ACTIVATION[activation],
            batch_first=True,
            norm_first=norm_first,
        )
        if not final_norm:
            self.encoder.norm = self.decoder.norm = None
        self.src_embed = nn.Embedding(n_source, self.d_model)
        self.tgt_embed = (
            self.src_embed if tie == TIE_ALL else nn.Embedding(n_target, self.d_model)
        )
        self.generator = nn.Linear(self.d_model, n_target, bias=False)
        if tie != TIE_NONE:
            self.generator.weight = self.tgt_embed.weight

    def embed(self, embedding, ids):
        return embedding(ids) * math.sqrt(self.d_model) + sinusoid(ids.shape[1], self.d_model)

    def logits(self, batch):
        source_padding = padding(batch.source_lengths)
        states = self(
            self.embed(self.src_embed, pad_sequence(batch.sources, batch_first=True)),
            self.embed(self.tgt_embed, pad_sequence(batch.targets, batch_first=True)),
            tgt_mask=causal_mask(max(batch.target_lengths)),
            src_key_padding_mask=source_padding,
            memory_key_padding_mask=source_padding,
            tgt_key_padding_mask=padding(batch.target_lengths),
        )
        return self.generator(pack(states, batch.target_lengths))


def loss_of(logits, batch):
    """Summed over the target tokens, divided by their number."""
    return F.cross_entropy(logits, torch.cat(batch.labels), label_smoothing=SMOOTHING)


def put_model(case, model, batch):
    logits = model.logits(batch)
    must_agree(logits, torch.cat([model.logits(s) for s in batch.singles()]), case.group.name)
    loss = loss_of(logits, batch)
    loss.backward()
    case.put("input", batch.tensors())
    case.put("output", {"logits": logits, "loss": loss.reshape(1)})
    case.put("param", named(model, lambda p: p))
    case.put("dparam", named(model, lambda p: p.grad))


def translator_case(parent, name, form):
    case = Case(parent, name, heads=2, smoothing=SMOOTHING, **form)
    model = Translator(**form)
    randomise(model)
    return case, model


def translator(parent, name, **form):
    case, model = translator_case(parent, name, form)
    batch = Batch.random([5, 2, 6], [3, 6, 1], form["n_source"], form["n_target"])
    put_model(case, model, batch)


# ---- 3. decoder-only models ------------------------------------------------------------------


class LanguageModel(nn.Module):
    """Decoder-only: causal self-attention, learned positions, output tied to the embedding."""

    SHAPE = {"d_model": 12, "nhead": 3, "dim_feedforward": 16}
    MAX_LENGTH = 9

    def __init__(self, n_target, n_layers, norm_first, final_norm, scaled):
        super().__init__()
        width = self.SHAPE["d_model"]
        layer = nn.TransformerEncoderLayer(
            **self.SHAPE,
            dropout=0.0,
            activation=ACTIVATION[GELU_TANH],
            batch_first=True,
            norm_first=norm_first,
        )
        norm = nn.LayerNorm(width) if final_norm else None
        self.decoder = nn.TransformerEncoder(layer, n_layers, norm, enable_nested_tensor=False)
        self.tgt_embed = nn.Embedding(n_target, width)
        self.tgt_position = nn.Embedding(self.MAX_LENGTH, width)
        self.scale = math.sqrt(width) if scaled else 1.0

    def logits(self, batch):
        ids = pad_sequence(batch.targets, batch_first=True)
        x = self.tgt_embed(ids) * self.scale + self.tgt_position.weight[: ids.shape[1]]
        states = self.decoder(
            x,
            mask=causal_mask(ids.shape[1]),
            src_key_padding_mask=padding(batch.target_lengths),
        )
        return F.linear(pack(states, batch.target_lengths), self.tgt_embed.weight)


def language_model(parent, name, **form):
    form = {"n_target": 17, "n_layers": 2, **form}
    case = Case(parent, name, heads=3, activation=GELU_TANH, smoothing=SMOOTHING, **form)
    model = LanguageModel(**form)
    randomise(model)
    put_model(case, model, Batch.random([], [6, 1, 4], 0, form["n_target"]))


# ---- 4. training -----------------------------------------------------------------------------


def noam(width, warmup, step):
    """Vaswani et al. 2017, section 5.3, equation 3; the first step is 1."""
    return width**-0.5 * min(step**-0.5, step * warmup**-1.5)


def train(case, name, model, start, batches, optimiser, rates, max_norm):
    """One step for each learning rate, the batches in turn. max_norm: inf does not clip."""
    model.load_state_dict(start)
    losses, norms = [], []
    for step, rate in enumerate(rates):
        batch = batches[step % len(batches)]
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        loss = loss_of(model.logits(batch), batch)
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), max_norm))
        optimiser.step()
        losses.append(loss.detach())
    case.put(name, {"loss": torch.stack(losses), "grad_norm": torch.stack(norms)})
    case.put(name, {"rate": torch.tensor(rates)})
    case.put(f"{name}_param", named(model, lambda p: p))


def training(parent):
    warmup, max_norm, decay, momentum = 8, 1.0, 0.01, 0.9
    adam = {"betas": (0.9, 0.98), "eps": 1e-9}
    n = 13
    form = {
        "n_source": n,
        "n_target": n,
        "n_layers": 1,
        "tie": TIE_ALL,
        "norm_first": False,
        "final_norm": False,
        "activation": RELU,
    }
    case, model = translator_case(parent, "training", form)
    case.note(warmup=warmup, max_norm=max_norm, weight_decay=decay, momentum=momentum)
    case.note(beta1=adam["betas"][0], beta2=adam["betas"][1], eps=adam["eps"])
    # A start from which rounding errors hardly grow: 20 steps of Adam in float32 stay within 1e-6
    # of these losses (from other starts up to 1e-4: the rates are large for so small a model).
    torch.manual_seed(10)
    randomise(model)
    batches = [
        Batch.random([4, 6, 1], [5, 3, 2], n, n),
        Batch.random([2, 5, 3], [1, 6, 4], n, n),
        Batch.random([6, 3], [2, 6], n, n),
    ]
    for i, batch in enumerate(batches):
        case.put(f"batch{i}", batch.tensors())
    case.put("param", named(model, lambda p: p))
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    rates = [noam(model.d_model, warmup, step) for step in range(1, 21)]
    optimiser = torch.optim.Adam(model.parameters(), **adam)
    train(case, "adam", model, start, batches, optimiser, rates, max_norm)

    optimiser = torch.optim.AdamW(model.parameters(), **adam, weight_decay=decay)
    train(case, "adamw", model, start, batches, optimiser, [0.01] * 5, math.inf)

    optimiser = torch.optim.SGD(model.parameters(), momentum=momentum)
    train(case, "sgd", model, start, batches, optimiser, [0.05] * 5, math.inf)


# ---- 5. operations ---------------------------------------------------------------------------


def attention(parent, name, q_lengths, k_lengths, *, heads, kv_heads, width, v_width, **options):
    """Heads lie side by side in a row: q [N, heads width], k [M, kv_heads width], v likewise."""
    causal, scale = options.get("causal", False), options.get("scale", width**-0.5)
    case = Case(parent, name, heads=heads, kv_heads=kv_heads, causal=causal, scale=scale)
    q = leaf(sum(q_lengths), heads * width)
    k = leaf(sum(k_lengths), kv_heads * width)
    v = leaf(sum(k_lengths), kv_heads * v_width)

    def split_heads(rows, n):
        return rows.unflatten(1, (n, -1)).transpose(0, 1)

    y = torch.cat(
        [
            F.scaled_dot_product_attention(
                split_heads(q_rows, heads),
                split_heads(k_rows, kv_heads),
                split_heads(v_rows, kv_heads),
                is_causal=causal,
                scale=scale,
                enable_gqa=kv_heads != heads,
            )
            .transpose(0, 1)
            .flatten(1)
            for q_rows, k_rows, v_rows in zip(
                q.split(q_lengths), k.split(k_lengths), v.split(k_lengths)
            )
        ]
    )
    inputs = {"q": q, "k": k, "v": v}
    inputs["q_offsets"], inputs["k_offsets"] = offsets(q_lengths), offsets(k_lengths)
    put_gradients(case, inputs, {"y": y})


def attentions(parent):
    a, b = [5, 1, 4], [2, 6, 3]
    two = {"heads": 2, "kv_heads": 2, "width": 4, "v_width": 4}
    three = {"heads": 3, "kv_heads": 3, "width": 4, "v_width": 5}
    shared = {"heads": 4, "kv_heads": 2, "width": 3, "v_width": 3}
    attention(parent, "attention_full", a, a, **two)
    attention(parent, "attention_causal", a, a, **two, causal=True)
    attention(parent, "attention_cross", a, b, **three, scale=0.7)
    attention(parent, "attention_grouped", a, b, **shared)
    attention(parent, "attention_grouped_causal", a, a, **shared, causal=True)


def pointwise(parent):
    functions = {
        "gelu": F.gelu,
        "gelu_tanh": ACTIVATION[GELU_TANH],
        "silu": F.silu,
        # PyTorch's softplus is x itself above its threshold of 20, which costs 2e-9 there.
        "softplus": lambda x: F.softplus(x, threshold=100.0),
    }
    for name, function in functions.items():
        case = Case(parent, name)
        x = torch.cat([torch.linspace(-6, 6, 25), torch.tensor([-40.0, -1e-8, 0.0, 1e-8, 40.0])])
        x.requires_grad_()
        put_gradients(case, {"x": x}, {"y": function(x)})


def along_an_axis(parent):
    functions = {
        "softmax": F.softmax,
        "log_softmax": F.log_softmax,
        "logsumexp": lambda x, dim: x.logsumexp(dim, keepdim=True),
        "cumsum": torch.cumsum,
    }
    for name, function in functions.items():
        for axis in (1, 2):
            case = Case(parent, f"{name}_{axis}", axis=axis)
            x = (3 * torch.randn(3, 5, 4)).requires_grad_()
            put_gradients(case, {"x": x}, {"y": function(x, dim=axis)})


def norms(parent):
    case = Case(parent, "layer_norm", eps=1e-5)
    x, gain, bias = leaf(6, 10), leaf(10), leaf(10)
    y = F.layer_norm(x, (10,), gain, bias, eps=1e-5)
    put_gradients(case, {"x": x, "gain": gain, "bias": bias}, {"y": y})

    case = Case(parent, "rms_norm", eps=1e-5)
    x, gain = leaf(6, 10), leaf(10)
    put_gradients(case, {"x": x, "gain": gain}, {"y": F.rms_norm(x, (10,), gain, eps=1e-5)})


def cross_entropies(parent):
    for name, smoothing, ignore in (
        ("cross_entropy", 0.0, -100),
        ("cross_entropy_smooth", SMOOTHING, -100),
        ("cross_entropy_ignore", SMOOTHING, 0),
    ):
        case = Case(parent, name, smoothing=smoothing, ignore=ignore, has_ignore=ignore >= 0)
        logits = (2 * torch.randn(7, 11)).requires_grad_()
        labels = torch.tensor([3, 0, 10, 0, 5, 5, 1])
        y = F.cross_entropy(
            logits, labels, reduction="none", label_smoothing=smoothing, ignore_index=ignore
        )
        put_gradients(case, {"logits": logits, "labels": labels}, {"y": y})


def indexed(parent):
    """Indices repeat, so that gradients have to add; some rows are never named."""
    case = Case(parent, "embedding")
    table, ids = leaf(6, 4), torch.tensor([[5, 0, 2], [2, 2, 5]])
    put_gradients(case, {"table": table, "ids": ids}, {"y": F.embedding(ids, table)})

    for axis, index in ((0, [[2, 0, 1], [2, 3, 1]]), (1, [[2, 2], [0, 1], [1, 1], [0, 2]])):
        case = Case(parent, f"gather_{axis}", axis=axis)
        x, index = leaf(4, 3), torch.tensor(index)
        put_gradients(case, {"x": x, "index": index}, {"y": x.gather(axis, index)})

        case = Case(parent, f"scatter_add_{axis}", axis=axis)
        x, source = leaf(4, 3), leaf(*index.shape)
        y = x.scatter_add(axis, index, source)
        put_gradients(case, {"x": x, "index": index, "source": source}, {"y": y})

    case = Case(parent, "index_select_rows", axis=0)
    x, index = leaf(5, 3), torch.tensor([4, 1, 4, 0])
    put_gradients(case, {"x": x, "index": index}, {"y": x.index_select(0, index)})

    case = Case(parent, "index_add_rows", axis=0)
    x, source = leaf(5, 3), leaf(4, 3)
    y = x.index_add(0, index, source)
    put_gradients(case, {"x": x, "index": index, "source": source}, {"y": y})


# ---- 6. initialisation -----------------------------------------------------------------------


def initialisation(parent):
    """Bounds of Xavier's uniform distribution for in_proj: one [3E, E] matrix, or three [E, E]."""

    def bound(rows, cols):
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(torch.empty(rows, cols))
        return nn.init.calculate_gain("linear") * math.sqrt(6.0 / (fan_in + fan_out))

    case = Case(parent, "xavier")
    widths = [8, 64, 512]
    for width in widths:  # the formula above is PyTorch's own
        for rows in (width, 3 * width):
            largest = nn.init.xavier_uniform_(torch.empty(rows, width)).abs().max().item()
            assert 0.9 < largest / bound(rows, width) <= 1.0
    case.put("input", {"width": torch.tensor(widths)})
    output = {
        "whole": torch.tensor([bound(3 * width, width) for width in widths]),
        "blocks": torch.tensor([bound(width, width) for width in widths]),
    }
    case.put("output", output)


# ---- all of it -------------------------------------------------------------------------------


def main():
    # Said of pre-norm layers, which have no fast path for inference; gradients never take it.
    warnings.filterwarnings("ignore", message="enable_nested_tensor is True")
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("pytorch.h5")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    with create_file(path) as file:
        layers = create_group(file, "layers")
        for norm_first in (False, True):
            for activation in (RELU, GELU):
                encoder_layer(layers, activation, norm_first)
                decoder_layer(layers, activation, norm_first)

        models = create_group(file, "models")
        one_layer = {"n_source": 11, "n_target": 15, "n_layers": 1}
        alike = {"n_source": 13, "n_target": 13, "tie": TIE_ALL}
        post = {"norm_first": False, "final_norm": False, "activation": RELU}
        post_final = {**post, "final_norm": True}
        pre_final = {"norm_first": True, "final_norm": True, "activation": GELU}
        translator(models, "post_final_tied_all", **alike, n_layers=2, **post_final)
        translator(models, "pre_final_tied_all", **alike, n_layers=2, **pre_final)
        translator(models, "post_tied_all", **alike, n_layers=1, **post)
        translator(models, "post_tied_target", **one_layer, tie=TIE_TARGET_OUTPUT, **post)
        translator(models, "post_untied", **one_layer, tie=TIE_NONE, **post)
        language_model(models, "lm_pre", norm_first=True, final_norm=True, scaled=False)
        language_model(models, "lm_post", norm_first=False, final_norm=False, scaled=True)

        training(file)

        operations = create_group(file, "operations")
        attentions(operations)
        pointwise(operations)
        along_an_axis(operations)
        norms(operations)
        cross_entropies(operations)
        indexed(operations)
        initialisation(operations)


if __name__ == "__main__":
    main()
