/* config.c - the table of configuration keys, and what is done with it. */
#include "train/config.h"
#include "core/nearest_internal.h"
#include "data/data.h"
#include "train/text_buffer_internal.h"

#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum key_type { INTEGER, REAL, BOOL, TEXT, PATH, CHOICE } key_type;

typedef struct key {
    const char *name; /* "section.key" */
    key_type type;
    unsigned offset;     /* of its field */
    const char *preset;  /* its default, as it would be written */
    const char *allowed; /* numbers: "[1, 1024]" or "(0, inf)"; choices: "adam|sgd" */
    int first;           /* choices: the enum's value of the first name */
    const char *help;
} key;

#define AT(section, field) offsetof(weft_config, section.field)

static const key keys[] = {
    { "data.train", PATH, AT(data, train), "", NULL, 0,
      "training text: a file of lines with source, tab, target; with src and tgt the common "
      "beginning of two files, but for a .tsv or .tsv.gz" },
    { "data.train2", PATH, AT(data, more[0]), "", NULL, 0, "more training text, of either form" },
    { "data.train3", PATH, AT(data, more[1]), "", NULL, 0, "and more" },
    { "data.train4", PATH, AT(data, more[2]), "", NULL, 0, "and more" },
    { "data.weight", REAL, AT(data, weight[0]), "1", "(0, 1000]", 0,
      "how often an epoch goes through data.train; 0.5: through a half, drawn anew each time" },
    { "data.weight2", REAL, AT(data, weight[1]), "1", "(0, 1000]", 0, "the same for data.train2" },
    { "data.weight3", REAL, AT(data, weight[2]), "1", "(0, 1000]", 0, "the same for data.train3" },
    { "data.weight4", REAL, AT(data, weight[3]), "1", "(0, 1000]", 0, "the same for data.train4" },
    { "data.valid", PATH, AT(data, valid), "", NULL, 0, "the same for validation" },
    { "data.test", PATH, AT(data, test), "", NULL, 0, "the same for the final test" },
    { "data.src", TEXT, AT(data, src), "", NULL, 0,
      "ending of the source's files: data.train.SRC[.gz]" },
    { "data.tgt", TEXT, AT(data, tgt), "", NULL, 0, "ending of the target's files" },
    { "data.task", TEXT, AT(data, task), "", NULL, 0,
      "a generated task instead of files, as docs/tasks.md lists them" },
    { "data.length", INTEGER, AT(data, length), "0", "[0, 1000]", 0,
      "longest source of a generated task in symbols; 0: the task's own" },
    { "data.test_length", INTEGER, AT(data, test_length), "0", "[0, 1000]", 0,
      "the final test of a generated task is on longer sources than any of training, up to this "
      "many symbols; 0: of the same lengths" },
    { "data.task_k", INTEGER, AT(data, task_k), "0", "[0, 1000]", 0,
      "kinds of brackets of the task dyck, modulus of the task modular; 0: the task's own" },
    { "data.vocab", CHOICE, AT(data, vocab), "word", "word|char|bpe", WEFT_CONFIG_WORD,
      "what a token is: a word, a character, a piece of a word (byte pair encoding)" },
    { "data.merges", INTEGER, AT(data, merges), "10000", "[0, 10000000]", 0,
      "merges of BPE that are learnt from the training text; 0: as many as data.max_vocab has room "
      "for" },
    { "data.codes", PATH, AT(data, codes), "", NULL, 0,
      "a file of merges (weft bpe learn, subword-nmt) instead of learning them" },
    { "data.codes_tgt", PATH, AT(data, codes_tgt), "", NULL, 0,
      "another one for the target, with data.joint_vocab = false" },
    { "data.bpe_dropout", REAL, AT(data, bpe_dropout), "0", "[0, 1)", 0,
      "training cuts words anew in every epoch and passes over each merge with this probability" },
    { "data.tokenise", CHOICE, AT(data, tokenise), "space", "space|punct", WEFT_CONFIG_SPACE,
      "how words are found: at white space alone, or with punctuation apart (for plain text)" },
    { "data.lowercase", BOOL, AT(data, lowercase), "false", NULL, 0,
      "read all text in lower case" },
    { "data.min_count", INTEGER, AT(data, min_count), "1", "[1, 1000000000]", 0,
      "rarer tokens are unknown; with BPE, cut into smaller ones" },
    { "data.max_vocab", INTEGER, AT(data, max_vocab), "37000", "[0, 10000000]", 0,
      "largest vocabulary, the most frequent tokens stay; 0: no limit" },
    { "data.joint_vocab", BOOL, AT(data, joint_vocab), "true", NULL, 0,
      "one vocabulary for both languages, and the merges of BPE learnt from both" },
    { "data.max_length", INTEGER, AT(data, max_length), "256", "[1, 1000000]", 0,
      "sentences with more tokens on either side are left out of training" },
    { "data.max_ratio", REAL, AT(data, max_ratio), "0", "[0, 1e6]", 0,
      "pairs are left out of training of which one side has more than so many times the tokens of "
      "the other; 0: none" },
    { "data.train_size", INTEGER, AT(data, train_size), "100000", "[1, 1000000000]", 0,
      "instances of a generated task for training" },
    { "data.valid_size", INTEGER, AT(data, valid_size), "500", "[1, 10000000]", 0,
      "held-out instances of a generated task for the validation, and as many others for the "
      "test" },

    { "model.kind", CHOICE, AT(model, kind), "encoder-decoder", "encoder-decoder|decoder-only",
      WEFT_CONFIG_ENCODER_DECODER, "translation, or running text" },
    { "model.d_model", INTEGER, AT(model, d_model), "512", "[1, 65536]", 0, "width D" },
    { "model.ffn", INTEGER, AT(model, ffn), "2048", "[1, 1048576]", 0, "feed-forward width F" },
    { "model.heads", INTEGER, AT(model, heads), "8", "[1, 1024]", 0,
      "attention heads H; divides D" },
    { "model.kv_heads", INTEGER, AT(model, kv_heads), "0", "[0, 1024]", 0,
      "heads of keys and values G, which divides H; 1: multi-query; 0: as many as heads" },
    { "model.value_width", INTEGER, AT(model, value_width), "0", "[0, 65536]", 0,
      "width of a head's values (the paper's d_v); 0: that of its keys, D / H" },
    { "model.encoder_layers", INTEGER, AT(model, encoder_layers), "6", "[1, 1000]", 0,
      "layers of the encoder" },
    { "model.decoder_layers", INTEGER, AT(model, decoder_layers), "6", "[1, 1000]", 0,
      "layers of the decoder" },
    { "model.dropout", REAL, AT(model, dropout), "0.1", "[0, 1)", 0,
      "of embeddings and of each sub-layer's output" },
    { "model.attention_dropout", REAL, AT(model, attention_dropout), "0", "[0, 1)", 0,
      "of attention weights" },
    { "model.activation_dropout", REAL, AT(model, activation_dropout), "0", "[0, 1)", 0,
      "after the feed-forward activation" },
    { "model.activation", CHOICE, AT(model, activation), "relu",
      "relu|gelu|gelu_tanh|silu|glu|reglu|geglu|swiglu", WEFT_CONFIG_RELU,
      "of the feed-forward layer; the last four are gated and have a third matrix [F, D]" },
    { "model.norm", CHOICE, AT(model, norm), "post", "post|pre|hybrid|sandwich|deep",
      WEFT_CONFIG_POST_NORM,
      "norm after the residual sum; before the sub-layer; before it and of self-attention's "
      "output; "
      "before and of every output; after the sum with DeepNorm's factors" },
    { "model.norm_kind", CHOICE, AT(model, norm_kind), "layer", "layer|rms|scale",
      WEFT_CONFIG_LAYER_NORM, "LayerNorm, RMSNorm or ScaleNorm" },
    { "model.layer_scale", REAL, AT(model, layer_scale), "0", "[0, 1]", 0,
      "initial gain of each channel of a sub-layer's output (LayerScale); 0: no gains" },
    { "model.qk_norm", BOOL, AT(model, qk_norm), "false", NULL, 0,
      "RMSNorm of each head's queries and keys" },
    { "model.norm_eps", REAL, AT(model, norm_eps), "1e-5", "(0, 1)", 0, "inside the norm's root" },
    { "model.final_norm", BOOL, AT(model, final_norm), "false", NULL, 0,
      "one more norm after the last layer (pre-norm models want it; nn.Transformer always has "
      "it)" },
    { "model.position", CHOICE, AT(model, position), "sinusoidal",
      "sinusoidal|sinusoidal_half|learned|rope|alibi|t5|shaw|none", WEFT_CONFIG_SINUSOIDAL,
      "encoding of positions: sinusoidal as the paper, or sines and cosines apart (tensor2tensor, "
      "fairseq); a learned table; rotary; in the scores of self-attention: slopes, buckets of "
      "distances, keys and values of distances" },
    { "model.max_positions", INTEGER, AT(model, max_positions), "1024", "[1, 16777216]", 0,
      "length of the table of learned positions" },
    { "model.rope_layout", CHOICE, AT(model, rope_layout), "interleaved", "interleaved|half",
      WEFT_CONFIG_INTERLEAVED,
      "rotary positions turn channels 2i and 2i+1 of a head (the paper, GPT-J), or i and i + K/2 "
      "(GPT-NeoX, LLaMA)" },
    { "model.rope_base", REAL, AT(model, rope_base), "10000", "(1, 1e15]", 0,
      "of the rotary frequencies base^(-2i/K)" },
    { "model.rope_scaling", CHOICE, AT(model, rope_scaling), "none", "none|linear|ntk|dynamic|yarn",
      WEFT_UNSCALED,
      "reach further than the training: position interpolation, a larger base, a base that grows "
      "with the sentence, YaRN" },
    { "model.rope_factor", REAL, AT(model, rope_factor), "1", "[1, 1e6]", 0,
      "how many times further: linear, ntk, yarn" },
    { "model.rope_length", INTEGER, AT(model, rope_length), "0", "[0, 16777216]", 0,
      "tokens that the model was trained on: dynamic, yarn" },
    { "model.tie", CHOICE, AT(model, tie), "all", "none|target|all", WEFT_CONFIG_TIE_NONE,
      "which matrices are one: none; target embedding and output; source embedding as well" },
    { "model.init", CHOICE, AT(model, init), "xavier", "xavier|xavier_stacked|normal",
      WEFT_CONFIG_XAVIER,
      "Xavier on each [D, D] block, Xavier on stacked [3D, D] (nn.Transformer), N(0, 0.02) "
      "(GPT-2)" },
    { "model.embed_scale", BOOL, AT(model, embed_scale), "true", NULL, 0,
      "multiply embeddings by the root of D" },
    { "model.mixer", CHOICE, AT(model, mixer), "attention", "attention|rnn|lstm|gru|gru_before",
      WEFT_CONFIG_ATTENTION,
      "how the tokens of a sentence learn of one another: self-attention, or a recurrent layer "
      "from "
      "left to right (which wants no positions): tanh, LSTM, GRU as PyTorch, GRU as Cho et al. "
      "2014" },
    { "model.attention", CHOICE, AT(model, attention), "full",
      "full|linear|performer|lsh|linformer|probsparse|probsparse_causal|window|dilated|strided|"
      "fixed|"
      "longformer|bigbird|blocks",
      WEFT_CONFIG_FULL,
      "which keys a query of self-attention sees, or what stands for them (docs/attention.md)" },
    { "model.window", INTEGER, AT(model, window), "256", "[1, 16777216]", 0,
      "window, dilated, longformer: keys that a token sees, half of them on each side; causal: "
      "those "
      "up to it" },
    { "model.gap", INTEGER, AT(model, gap), "2", "[1, 65536]", 0,
      "dilated: distance from one key of the window to the next" },
    { "model.stride", INTEGER, AT(model, stride), "128", "[1, 16777216]", 0,
      "strided, fixed: length of a block, near the root of the text's length" },
    { "model.summary", INTEGER, AT(model, summary), "8", "[1, 16777216]", 0,
      "fixed: tokens at the end of a block that all later ones see" },
    { "model.block", INTEGER, AT(model, block), "64", "[1, 65536]", 0,
      "bigbird, blocks: tokens of a block" },
    { "model.blocks", TEXT, AT(model, blocks), "", NULL, 0,
      "blocks: which blocks a token sees, by their distance from its own, such as -4,-1,0,1" },
    { "model.window_blocks", INTEGER, AT(model, window_blocks), "3", "[1, 65535]", 0,
      "bigbird: blocks around a token's own, with it; odd" },
    { "model.global_blocks", INTEGER, AT(model, global_blocks), "2", "[0, 65535]", 0,
      "bigbird: blocks that see all and are seen by all" },
    { "model.random_blocks", INTEGER, AT(model, random_blocks), "3", "[0, 65535]", 0,
      "bigbird: further blocks, drawn for each block and head" },
    { "model.global_tokens", INTEGER, AT(model, global_tokens), "0", "[0, 65536]", 0,
      "window, dilated, strided, fixed, longformer, blocks: first tokens of a text that see all "
      "and are "
      "seen "
      "by all; with longformer by projections of their own" },
    { "model.attention_weights", CHOICE, AT(model, attention_weights), "softmax", "softmax|sigmoid",
      WEFT_SOFTMAX, "of every attention: normalised, or each by itself" },
    { "model.sigmoid_bias", REAL, AT(model, sigmoid_bias), "0", "[-100, 100]", 0,
      "sigmoid: added to the scores; 0: -log n for n keys, where sigmoid_bias_auto" },
    { "model.sigmoid_bias_auto", BOOL, AT(model, sigmoid_bias_auto), "true", NULL, 0,
      "sigmoid: a sigmoid_bias of 0 stands for -log n; false: it is 0" },
    { "model.max_distance", INTEGER, AT(model, max_distance), "0", "[0, 65536]", 0,
      "t5, shaw: distances beyond count as this one; 0: 128 and 16, as the papers" },
    { "model.features", INTEGER, AT(model, features), "256", "[1, 65536]", 0,
      "performer: random directions" },
    { "model.feature_kind", CHOICE, AT(model, feature_kind), "positive", "positive|hyperbolic",
      WEFT_CONFIG_POSITIVE, "performer: features of each direction, or also of its opposite" },
    { "model.redraw", INTEGER, AT(model, redraw), "1000", "[0, 1000000000]", 0,
      "performer, lsh, probsparse: updates between new directions, rotations or samples; 0: "
      "never" },
    { "model.lsh_rounds", INTEGER, AT(model, lsh_rounds), "4", "[1, 64]", 0,
      "lsh: rounds of hashing" },
    { "model.lsh_chunk", INTEGER, AT(model, lsh_chunk), "64", "[1, 1000000]", 0,
      "lsh: tokens of a chunk; n of them have 2 ceil(n / chunk) buckets" },
    { "model.linformer_k", INTEGER, AT(model, linformer_k), "256", "[1, 65536]", 0,
      "linformer: keys that a sentence is projected to" },
    { "model.linformer_length", INTEGER, AT(model, linformer_length), "512", "[1, 1000000]", 0,
      "linformer: longest sentence" },
    { "model.linformer_share", CHOICE, AT(model, linformer_share), "headwise",
      "headwise|kv|layerwise", WEFT_CONFIG_HEADWISE,
      "linformer: one projection for keys and one for values of a layer, one for both, or one for "
      "all layers" },
    { "model.probsparse_factor", REAL, AT(model, probsparse_factor), "5", "(0, 1e6]", 0,
      "probsparse: c; c ceil(ln n) of n queries attend" },

    { "train.init", PATH, AT(train, init), "", NULL, 0,
      "a model whose parameters and vocabularies a new run begins with; weft train --init takes "
      "its "
      "configuration, too" },
    { "train.max_minutes", REAL, AT(train, max_minutes), "0", "[0, 1e9]", 0,
      "stop after this time; 0: no limit" },
    { "train.max_updates", INTEGER, AT(train, max_updates), "100000", "[0, 1000000000000]", 0,
      "stop after this many updates; 0: no limit" },
    { "train.batch_tokens", INTEGER, AT(train, batch_tokens), "25000", "[1, 100000000]", 0,
      "most tokens of a batch on its longer side" },
    { "train.seed", INTEGER, AT(train, seed), "1", "[0, 9007199254740992]", 0,
      "of initial values, order and dropout" },
    { "train.label_smoothing", REAL, AT(train, label_smoothing), "0.1", "[0, 1)", 0,
      "epsilon: what is taken from the target and given to other tokens" },
    { "train.smoothing", CHOICE, AT(train, smoothing), "uniform", "uniform|others|annotated",
      WEFT_LABELS_UNIFORM,
      "which tokens get epsilon: all alike, the target too (Vaswani et al. 2017, PyTorch); all "
      "others (tensor2tensor, fairseq); all others but the one that begins a sentence and is never "
      "a target (The Annotated Transformer, JoeyNMT)" },
    { "train.precision", CHOICE, AT(train, precision), "float", "float|bf16", WEFT_CONFIG_FLOAT,
      "bf16: matrix products of training take operands in bfloat16, where the processor has "
      "AVX512_BF16" },
    { "train.accumulate", INTEGER, AT(train, accumulate), "1", "[1, 100000]", 0,
      "batches whose gradients are summed for an update" },
    { "train.log_every", INTEGER, AT(train, log_every), "50", "[1, 1000000000]", 0,
      "updates from one line of the log to the next" },
    { "train.validate_every", INTEGER, AT(train, validate_every), "1000", "[0, 1000000000]", 0,
      "updates from one validation to the next; 0: only at the end" },
    { "train.checkpoint_every", INTEGER, AT(train, checkpoint_every), "1000", "[0, 1000000000]", 0,
      "updates from one checkpoint to the next; 0: only at the end" },
    { "train.keep", INTEGER, AT(train, keep), "1", "[1, 10000]", 0,
      "checkpoints kept beside the best one; above 1 under names of their own" },
    { "train.keep_best", INTEGER, AT(train, keep_best), "1", "[1, 32]", 0,
      "models of the best validations kept; above 1 as best-UPDATE.h5, too" },
    { "train.monitor", CHOICE, AT(train, monitor), "loss", "loss|bleu|chrf|exact", WEFT_CONFIG_LOSS,
      "what the best validation and train.patience go by" },
    { "train.ema", REAL, AT(train, ema), "0", "[0, 1)", 0,
      "decay of a running average of the parameters, which is what validation and translation use; "
      "0: none" },
    { "train.validate_sentences", INTEGER, AT(train, validate_sentences), "200", "[0, 1000000000]",
      0, "sentences of files translated in a validation; 0: all" },
    { "train.beam", INTEGER, AT(train, beam), "1", "[1, 1000]", 0,
      "hypotheses followed in validation" },
    { "train.penalty", CHOICE, AT(train, penalty), "gnmt", "gnmt|power|word", WEFT_PENALTY_GNMT,
      "what ranks the hypotheses of validation's beam, as --penalty of weft translate: log p / "
      "((5+L)/6)^A, log p / L^A, log p - A L for length L" },
    { "train.length_penalty", REAL, AT(train, length_penalty), "0", "[-1e6, 1e6]", 0,
      "A; 0: that of weft translate, which is 0.6 for gnmt, 1 for power, and 0, no penalty, for "
      "word" },
    { "train.max_decode_length", INTEGER, AT(train, max_decode_length), "0", "[0, 1000000]", 0,
      "longest hypothesis in validation and of weft translate; 0: 50 tokens more than its source" },
    { "train.samples", INTEGER, AT(train, samples), "0", "[0, 1000]", 0,
      "translations shown and logged in a validation, with source and reference" },
    { "train.head_stats", BOOL, AT(train, head_stats), "false", NULL, 0,
      "log entropy, saturation and gradients of each attention head in a validation" },
    { "train.report", BOOL, AT(train, report), "false", NULL, 0,
      "keep report.html current: written anew after each validation and at the end" },
    { "train.check_finite", BOOL, AT(train, check_finite), "false", NULL, 0,
      "look at every value and name the first operation that gives NaN or infinity" },
    { "train.target_exact", REAL, AT(train, target_exact), "0", "[0, 100]", 0,
      "stop when this percentage of held-out sentences is exactly right; 0: never" },
    { "train.patience", INTEGER, AT(train, patience), "0", "[0, 1000000]", 0,
      "stop after this many validations without a better one; 0: never" },

    { "optim.kind", CHOICE, AT(optim, kind), "adam", "adam|adamw|sgd", WEFT_CONFIG_ADAM,
      "optimiser" },
    { "optim.lr", REAL, AT(optim, lr), "1", "(0, 1e6]", 0,
      "learning rate at its highest; for noam a factor of D^-0.5 min(t^-0.5, t warmup^-1.5)" },
    { "optim.schedule", CHOICE, AT(optim, schedule), "noam",
      "noam|inverse_sqrt|cosine|linear|constant", WEFT_CONFIG_NOAM,
      "course of the learning rate after the warm-up" },
    { "optim.warmup", INTEGER, AT(optim, warmup), "4000", "[0, 1000000000]", 0,
      "updates of linear growth" },
    { "optim.lr_end", REAL, AT(optim, lr_end), "0", "[0, 1e6]", 0,
      "where cosine and linear end, at train.max_updates" },
    { "optim.beta1", REAL, AT(optim, beta1), "0.9", "[0, 1)", 0, "Adam's first moment" },
    { "optim.beta2", REAL, AT(optim, beta2), "0.98", "[0, 1)", 0, "Adam's second moment" },
    { "optim.eps", REAL, AT(optim, eps), "1e-9", "(0, 1]", 0, "Adam's epsilon, outside the root" },
    { "optim.momentum", REAL, AT(optim, momentum), "0", "[0, 1)", 0, "of SGD" },
    { "optim.weight_decay", REAL, AT(optim, weight_decay), "0", "[0, 10]", 0,
      "decoupled for adamw, added to the gradient for sgd" },
    { "optim.clip", REAL, AT(optim, clip), "0", "[0, 1e9]", 0,
      "largest norm of all gradients together; 0: not clipped" },
};

enum { N_KEYS = sizeof keys / sizeof *keys };

static size_t section_bytes(const key *k) { return strcspn(k->name, "."); }

/* The i-th name of "a|b|c", its length in *n_bytes; NULL past the end. */
static const char *choice_name(const char *names, int i, size_t *n_bytes)
{
    for (;; i--, names += *n_bytes + 1) {
        *n_bytes = strcspn(names, "|");
        if (i == 0) return names;
        if (names[*n_bytes] == '\0') return NULL;
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

typedef struct range {
    double low, high;
    bool open_low, open_high;
} range;

static range parse_range(const char *text)
{
    char open, close;
    range r;
    const int n = sscanf(text, "%c%lf, %lf%c", &open, &r.low, &r.high, &close);
    assert(n == 4);
    (void)n;
    r.open_low = open == '(';
    r.open_high = close == ')';
    return r;
}

static bool is_inside(double x, const char *allowed)
{
    const range r = parse_range(allowed);
    return (r.open_low ? x > r.low : x >= r.low) && (r.open_high ? x < r.high : x <= r.high);
}

/* "model.heads = x: a whole number in [1, 1024] is needed", after the place it was read at. */
static weft_status wrong_value(const char *where, const key *k, const char *value)
{
    static const char *const kinds[] = { [INTEGER] = "a whole number in ",
                                         [REAL] = "a number in ",
                                         [BOOL] = "true or false",
                                         [CHOICE] = "one of " };
    return weft_error(WEFT_ERR_INPUT, "%s%s = %s: %s%s is needed", where, k->name, value,
                      kinds[k->type], k->allowed != NULL ? k->allowed : "");
}

static bool parse_integer(const char *value, int64_t *x)
{
    char *end;
    errno = 0;
    const long long parsed = strtoll(value, &end, 10);
    *x = parsed;
    return end != value && *end == '\0' && errno == 0;
}

static bool parse_real(const char *value, double *x)
{
    char *end;
    if (strspn(value, "+-.eE0123456789") != strlen(value)) return false; /* no inf, nan, 0x1p3 */
    *x = strtod(value, &end);
    return end != value && *end == '\0' && isfinite(*x);
}

static bool parse_choice(const key *k, const char *value, int *x)
{
    size_t n_bytes;
    const char *name;
    for (int i = 0; (name = choice_name(k->allowed, i, &n_bytes)) != NULL; i++) {
        if (strlen(value) != n_bytes || memcmp(value, name, n_bytes) != 0) continue;
        *x = k->first + i;
        return true;
    }
    return false;
}

/* A text must survive being written and read: no control characters, no comment of inih's, no white
 * space at its ends, and short enough for a line. */
static weft_status set_text(char *field, const key *k, const char *value, const char *where)
{
    const size_t n_bytes = strlen(value);
    if (n_bytes >= WEFT_CONFIG_TEXT) {
        return weft_error(WEFT_ERR_INPUT, "%s%s has %zu bytes, at most %d are allowed", where,
                          k->name, n_bytes, WEFT_CONFIG_TEXT - 1);
    }
    bool bad = value[0] == ' ' || value[0] == ';' || (n_bytes > 0 && value[n_bytes - 1] == ' ');
    bad = bad || strstr(value, " ;") != NULL || weft_utf8_check(value, n_bytes) != n_bytes;
    for (size_t i = 0; i < n_bytes; i++) {
        bad = bad || (unsigned char)value[i] < 0x20 || value[i] == 0x7F;
    }
    if (bad) {
        return weft_error(WEFT_ERR_INPUT,
                          "%s%s: a text is UTF-8 without control characters, without spaces at its "
                          "ends and without \" ;\"",
                          where, k->name);
    }
    memcpy(field, value, n_bytes + 1);
    return WEFT_OK;
}

static weft_status set_value(weft_config *config, const key *k, const char *value,
                             const char *where)
{
    char *field = (char *)config + k->offset;
    int64_t integer;
    double real;
    int choice;
    switch (k->type) {
    case INTEGER:
        if (!parse_integer(value, &integer) || !is_inside((double)integer, k->allowed)) break;
        memcpy(field, &integer, sizeof integer);
        return WEFT_OK;
    case REAL:
        if (!parse_real(value, &real) || !is_inside(real, k->allowed)) break;
        memcpy(field, &real, sizeof real);
        return WEFT_OK;
    case BOOL:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) break;
        *(bool *)field = value[0] == 't';
        return WEFT_OK;
    case CHOICE:
        if (!parse_choice(k, value, &choice)) break;
        memcpy(field, &choice, sizeof choice);
        return WEFT_OK;
    case TEXT:
    case PATH: return set_text(field, k, value, where);
    }
    return wrong_value(where, k, value);
}

void weft_config_init(weft_config *config)
{
    memset(config, 0, sizeof *config);
    for (int i = 0; i < N_KEYS; i++) {
        const weft_status status = set_value(config, &keys[i], keys[i].preset, "");
        assert(status == WEFT_OK);
        (void)status;
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

static const key *find_key(const char *name)
{
    for (int i = 0; i < N_KEYS; i++) {
        if (strcmp(keys[i].name, name) == 0) return &keys[i];
    }
    return NULL;
}

/* The nearest key by its whole name; but a key of the same name in another section comes first. */
static weft_status unknown_key(const char *where, const char *name)
{
    weft_nearest nearest = weft_nearest_init(name);
    const char *dot = strchr(name, '.');
    for (int i = 0; i < N_KEYS; i++) weft_nearest_offer(&nearest, keys[i].name);
    for (int i = 0; i < N_KEYS && dot != NULL; i++) {
        if (strcmp(keys[i].name + section_bytes(&keys[i]), dot) == 0) nearest.name = keys[i].name;
    }
    return weft_error(WEFT_ERR_INPUT, "%sunknown key %s%s%s%s", where, name,
                      nearest.name != NULL ? " (did you mean " : "",
                      nearest.name != NULL ? nearest.name : "", nearest.name != NULL ? "?)" : "");
}

static bool is_section(const char *name)
{
    for (int i = 0; i < N_KEYS; i++) {
        const size_t n_bytes = section_bytes(&keys[i]);
        if (strlen(name) == n_bytes && memcmp(keys[i].name, name, n_bytes) == 0) return true;
    }
    return false;
}

static weft_status unknown_section(const char *where, const char *name)
{
    static const char *const sections[] = { "data", "model", "train", "optim" };
    weft_nearest nearest = weft_nearest_init(name);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        weft_nearest_offer(&nearest, sections[i]);
    }
    if (nearest.name != NULL) {
        return weft_error(WEFT_ERR_INPUT, "%sunknown section [%s] (did you mean [%s]?)", where,
                          name, nearest.name);
    }
    return weft_error(WEFT_ERR_INPUT,
                      "%sunknown section [%s]: there are [data], [model], [train] "
                      "and [optim]",
                      where, name);
}

/* ---- INI files ------------------------------------------------------------------------------- */

/* What inih is at: it asks for lines and hands over keys, both through this. */
typedef struct reader {
    weft_config config; /* what has been read so far */
    const char *name;   /* of the file, for messages */
    weft_lines *lines;  /* a file, or NULL: */
    const char *text;   /* the rest of a text in memory */
    int line;           /* number of the present line */
    int seen[N_KEYS];   /* line of each key, 0 before it came */
    weft_status status;
    char where[WEFT_CONFIG_TEXT + 32];
} reader;

static weft_status fail_at(reader *r, const char *what)
{
    return r->status = weft_error(WEFT_ERR_INPUT, "%s%s", r->where, what);
}

/* The next line and its length; NULL at the end or after an error in r->status. */
static const char *take_line(reader *r, size_t *n_bytes)
{
    const char *line = NULL;
    if (r->lines != NULL) {
        r->status = weft_lines_next(r->lines, &line, n_bytes);
    } else if (*r->text != '\0') {
        line = r->text;
        *n_bytes = strcspn(line, "\n");
        r->text += *n_bytes + (line[*n_bytes] == '\n');
    }
    if (line == NULL) return NULL;
    r->line++;
    snprintf(r->where, sizeof r->where, "%.*s:%d: ", WEFT_CONFIG_TEXT, r->name, r->line);
    return line;
}

/* inih calls no handler for a section without keys, and reads over what follows its bracket. */
static weft_status check_section(reader *r, const char *line)
{
    char name[64];
    const size_t n_bytes = strcspn(line + 1, "]");
    const char *rest = line + 1 + n_bytes;
    if (*rest != ']') return fail_at(r, "a section is [name]: the ] is missing");
    rest += 1 + strspn(rest + 1, " \t\r");
    if (*rest != '\0' && *rest != ';' && *rest != '#' && *rest != '\n') {
        return fail_at(r, "text after a section's ]");
    }
    snprintf(name, sizeof name, "%.*s", (int)(n_bytes < 63 ? n_bytes : 63), line + 1);
    return is_section(name) ? WEFT_OK : (r->status = unknown_section(r->where, name));
}

/* For inih: the next line with its end. Leading space goes, for inih takes an indented line for
 * more of the value before it. */
static char *read_line(char *line, int room, void *user)
{
    reader *r = user;
    size_t n_bytes = 0;
    if (r->status != WEFT_OK) return NULL;
    const char *text = take_line(r, &n_bytes);
    if (text == NULL) return NULL;
    const size_t indent = strspn(text, " \t");
    text += indent;
    n_bytes -= indent < n_bytes ? indent : n_bytes;
    if (n_bytes + 2 > (size_t)room) {
        char what[80];
        snprintf(what, sizeof what, "a line of %zu bytes; at most %d are read", n_bytes, room - 2);
        fail_at(r, what);
        return NULL;
    }
    memcpy(line, text, n_bytes);
    line[n_bytes] = '\n';
    line[n_bytes + 1] = '\0';
    if (line[0] == '[' && check_section(r, line) != WEFT_OK) return NULL;
    return line;
}

/* For inih: a key and its value. Returns 0 after an error. */
static int take_key(void *user, const char *section, const char *name, const char *value)
{
    reader *r = user;
    char full[160];
    if (r->status != WEFT_OK) return 0;
    if (section[0] == '\0') {
        fail_at(r, "a key before the first [section]");
        return 0;
    }
    snprintf(full, sizeof full, "%s.%s", section, name);
    const key *k = find_key(full);
    if (k == NULL) {
        r->status = unknown_key(r->where, full);
        return 0;
    }
    int *seen = &r->seen[k - keys];
    if (*seen != 0) {
        r->status =
            weft_error(WEFT_ERR_INPUT, "%s%s was given in line %d already", r->where, full, *seen);
        return 0;
    }
    *seen = r->line;
    r->status = set_value(&r->config, k, value, r->where);
    return r->status == WEFT_OK;
}

/* An error leaves `config` as it was. */
static weft_status read_all(weft_config *config, reader *r)
{
    r->config = *config;
    const int wrong_line = ini_parse_stream(read_line, r, take_key, r);
    if (r->status != WEFT_OK && (wrong_line <= 0 || wrong_line >= r->line)) return r->status;
    if (wrong_line > 0) {
        return weft_error(WEFT_ERR_INPUT, "%s:%d: neither [section] nor key = value", r->name,
                          wrong_line);
    }
    if (wrong_line < 0) return weft_error(WEFT_ERR_MEMORY, "%s: out of memory", r->name);
    *config = r->config;
    return WEFT_OK;
}

weft_status weft_config_read(weft_config *config, const char *path)
{
    reader r = { .name = path };
    weft_status status = weft_lines_open(path, &r.lines);
    if (status != WEFT_OK) return status;
    status = read_all(config, &r);
    weft_lines_free(r.lines);
    return status;
}

weft_status weft_config_parse(weft_config *config, const char *text, const char *name)
{
    reader r = { .name = name, .text = text };
    return read_all(config, &r);
}

weft_status weft_config_set(weft_config *config, const char *assignment)
{
    char name[96];
    const size_t n_bytes = strcspn(assignment, "=");
    if (assignment[n_bytes] != '=' || n_bytes == 0) {
        return weft_error(WEFT_ERR_INPUT, "--set %s: section.key=value is needed", assignment);
    }
    snprintf(name, sizeof name, "%.*s", (int)(n_bytes < 95 ? n_bytes : 95), assignment);
    const key *k = find_key(name);
    if (k == NULL) return unknown_key("--set: ", name);
    return set_value(config, k, assignment + n_bytes + 1, "--set: ");
}

void weft_config_place(weft_config *config, const char *folder)
{
    char path[WEFT_CONFIG_TEXT + 1]; /* a longer one, cut to this, is refused as well */
    for (int i = 0; i < N_KEYS; i++) {
        const char *field = (const char *)config + keys[i].offset;
        if (keys[i].type != PATH || *field == '\0' || *field == '/' || strcmp(field, "-") == 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, field);
        (void)set_value(config, &keys[i], path, ""); /* or it stays */
    }
}

int weft_config_blocks(const weft_config *config, int32_t offsets[])
{
    enum { FARTHEST = 65536 };
    int n = 0;
    bool has_own = config->model.blocks[0] == '\0';
    char *end;
    for (const char *at = config->model.blocks; *at; at = end) {
        const long offset = strtol(at, &end, 10);
        if (end == at || !strchr(" ,", *end) || n == WEFT_BLOCK_OFFSETS) return -1;
        if (offset < -FARTHEST || offset > FARTHEST || (n > 0 && offset <= offsets[n - 1]))
            return -1;
        has_own = has_own || offset == 0;
        offsets[n++] = (int32_t)offset;
        end += strspn(end, " ,");
    }
    return has_own ? n : -1;
}

int64_t weft_config_longest(const weft_config *config) { return 10 * config->data.max_length; }

/* ---- writing --------------------------------------------------------------------------------- */

/* The shortest of 15 to 17 digits that is read back as the same number. */
static weft_status append_real(weft_text_buffer *out, double x)
{
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    return weft_text_append(out, "%s", text);
}

static weft_status append_value(weft_text_buffer *out, const weft_config *config, const key *k)
{
    const char *field = (const char *)config + k->offset;
    int64_t integer;
    double real;
    int choice;
    size_t n_bytes;
    const char *name;
    switch (k->type) {
    case INTEGER:
        memcpy(&integer, field, sizeof integer);
        return weft_text_append(out, "%lld", (long long)integer);
    case REAL: memcpy(&real, field, sizeof real); return append_real(out, real);
    case BOOL: return weft_text_append(out, "%s", *(const bool *)field ? "true" : "false");
    case CHOICE:
        memcpy(&choice, field, sizeof choice);
        name = choice_name(k->allowed, choice - k->first, &n_bytes);
        assert(name != NULL);
        return weft_text_append(out, "%.*s", (int)n_bytes, name);
    case TEXT:
    case PATH: break;
    }
    return weft_text_append(out, "%s", field);
}

static bool begins_section(int i)
{
    const size_t n_bytes = section_bytes(&keys[i]);
    return i == 0 || strncmp(keys[i].name, keys[i - 1].name, n_bytes + 1) != 0;
}

char *weft_config_text(const weft_config *config, bool with_paths)
{
    weft_text_buffer out = { 0 };
    weft_status status = WEFT_OK;
    for (int i = 0; i < N_KEYS && status == WEFT_OK; i++) {
        const key *k = &keys[i];
        const int n_section = (int)section_bytes(k);
        if (begins_section(i)) {
            status = weft_text_append(&out, "%s[%.*s]\n", i > 0 ? "\n" : "", n_section, k->name);
        }
        if (k->type == PATH && !with_paths) continue;
        if (status == WEFT_OK) status = weft_text_append(&out, "%s = ", k->name + n_section + 1);
        if (status == WEFT_OK) status = append_value(&out, config, k);
        if (status == WEFT_OK) status = weft_text_append(&out, "\n");
    }
    if (status == WEFT_OK) return out.text;
    weft_text_release(&out);
    return NULL;
}

/* A row of the reference; the bars between choices are written as commas. */
static weft_status append_row(weft_text_buffer *out, const key *k)
{
    static const char *const types[] = { "whole number", "number", "true or false",
                                         "text",         "path",   "" };
    weft_status status =
        weft_text_append(out, "| `%s` | %s", k->name + section_bytes(k) + 1, types[k->type]);
    if (status == WEFT_OK && (k->type == INTEGER || k->type == REAL)) {
        status = weft_text_append(out, " in %s", k->allowed);
    }
    size_t n_bytes;
    const char *name;
    for (int i = 0; k->type == CHOICE && status == WEFT_OK; i++) {
        if ((name = choice_name(k->allowed, i, &n_bytes)) == NULL) break;
        status = weft_text_append(out, "%s`%.*s`", i > 0 ? ", " : "", (int)n_bytes, name);
    }
    if (status != WEFT_OK) return status;
    return weft_text_append(out, " | %s | %s |\n", k->preset, k->help);
}

char *weft_config_reference(void)
{
    weft_text_buffer out = { 0 };
    weft_status status = weft_text_append(
        &out,
        "# Configuration\n\nA configuration is an INI file; `--set section.key=value` overrules "
        "it. A key that is not\nhere is an error. Defaults are those of Vaswani et al. "
        "(2017). Comments begin with `;`, or with `#` at\nthe start of a line; a line has at "
        "most 198 bytes.\n");
    for (int i = 0; i < N_KEYS && status == WEFT_OK; i++) {
        if (begins_section(i)) {
            status = weft_text_append(&out,
                                      "\n## [%.*s]\n\n| key | value | default | meaning |\n"
                                      "|---|---|---|---|\n",
                                      (int)section_bytes(&keys[i]), keys[i].name);
        }
        if (status == WEFT_OK) status = append_row(&out, &keys[i]);
    }
    if (status == WEFT_OK) return out.text;
    weft_text_release(&out);
    return NULL;
}
