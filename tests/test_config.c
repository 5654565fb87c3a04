/* precision: float. Configuration: the table, files, --set, the text for checkpoints, the checks. */
#include "check_main.h"
#include "core/nearest_internal.h"
#include "train/config.h"

#include <string.h>
#include <unistd.h>

static weft_config defaults(void)
{
    weft_config config;
    weft_config_init(&config);
    return config;
}

/* `text` is refused with this message, and the configuration stays as it was. */
static void assert_refused(const char *text, const char *message)
{
    weft_config config = defaults();
    const weft_config before = config;
    ck_assert_msg(weft_config_parse(&config, text, "a.ini") == WEFT_ERR_INPUT, "%s", text);
    ck_assert_str_eq(weft_message(), message);
    ck_assert(memcmp(&config, &before, sizeof config) == 0);
}

START_TEST(defaults_are_the_papers)
{
    const weft_config c = defaults();
    ck_assert(c.model.kind == WEFT_CONFIG_ENCODER_DECODER && c.model.d_model == 512);
    ck_assert(c.model.ffn == 2048 && c.model.heads == 8);
    ck_assert(c.model.encoder_layers == 6 && c.model.decoder_layers == 6);
    ck_assert(c.model.dropout == 0.1 && c.train.label_smoothing == 0.1);
    ck_assert(c.model.norm == WEFT_CONFIG_POST_NORM && !c.model.final_norm);
    ck_assert(c.model.activation == WEFT_CONFIG_RELU &&
              c.model.norm_kind == WEFT_CONFIG_LAYER_NORM);
    ck_assert(c.model.tie == WEFT_CONFIG_TIE_ALL && c.model.embed_scale);
    ck_assert(c.optim.kind == WEFT_CONFIG_ADAM && c.optim.schedule == WEFT_CONFIG_NOAM);
    ck_assert(c.optim.beta1 == 0.9 && c.optim.beta2 == 0.98 && c.optim.eps == 1e-9);
    ck_assert(c.optim.warmup == 4000 && c.train.max_updates == 100000);
}
END_TEST

START_TEST(files_are_read)
{
    weft_config c = defaults();
    const char *text = "\xEF\xBB\xBF; a comment\n[data]\n  train = /a b/train.tsv.gz ; more\n"
                       "vocab: char\r\n\n[model]  # here too\n   heads = 4\nactivation=gelu_tanh\n"
                       "final_norm = true\ndropout = 2.5e-1\n[optim]\nkind=sgd";
    ck_assert_msg(weft_config_parse(&c, text, "a.ini") == WEFT_OK, "%s", weft_message());
    ck_assert_str_eq(c.data.train, "/a b/train.tsv.gz");
    ck_assert(c.data.vocab == WEFT_CONFIG_CHAR && c.model.heads == 4 && c.model.final_norm);
    ck_assert(c.model.activation == WEFT_CONFIG_GELU_TANH && c.model.dropout == 0.25);
    ck_assert(c.optim.kind == WEFT_CONFIG_SGD && c.model.ffn == 2048);
}
END_TEST

START_TEST(mistakes_name_file_line_and_key)
{
    assert_refused("[model]\nhaeds = 3\n",
                   "a.ini:2: unknown key model.haeds (did you mean model.heads?)");
    assert_refused("[train]\nwarmup = 3\n",
                   "a.ini:2: unknown key train.warmup (did you mean optim.warmup?)");
    assert_refused("[model]\nzzzzzzzzzzzzzzzzzzzzzzzz = 3\n",
                   "a.ini:2: unknown key model.zzzzzzzzzzzzzzzzzzzzzzzz");
    assert_refused("\n[modle]\n", "a.ini:2: unknown section [modle] (did you mean [model]?)");
    assert_refused("[x1]", "a.ini:1: unknown section [x1]: there are [data], [model], [train] and "
                           "[optim]");
    assert_refused("[model]\n[model", "a.ini:2: a section is [name]: the ] is missing");
    assert_refused("[model] heads = 8", "a.ini:1: text after a section's ]");
    assert_refused("heads = 8", "a.ini:1: a key before the first [section]");
    assert_refused("[model]\nheads 8\n", "a.ini:2: neither [section] nor key = value");
    assert_refused("[model]\nheads 8\nheads = 0\n", "a.ini:2: neither [section] nor key = value");
    assert_refused("[model]\nheads = 2\n\n  heads = 3\n",
                   "a.ini:4: model.heads was given in line 2 already");
}
END_TEST

START_TEST(wrong_values_say_what_is_allowed)
{
    assert_refused("[model]\nheads = 0",
                   "a.ini:2: model.heads = 0: a whole number in [1, 1024] is needed");
    assert_refused("[model]\nheads = 1025",
                   "a.ini:2: model.heads = 1025: a whole number in [1, 1024] is needed");
    assert_refused("[model]\nheads = 8.5",
                   "a.ini:2: model.heads = 8.5: a whole number in [1, 1024] is needed");
    assert_refused("[model]\nheads =",
                   "a.ini:2: model.heads = : a whole number in [1, 1024] is needed");
    assert_refused("[train]\nseed = 99999999999999999999",
                   "a.ini:2: train.seed = 99999999999999999999: a whole number in "
                   "[0, 9007199254740992] is needed");
    assert_refused("[model]\ndropout = 1",
                   "a.ini:2: model.dropout = 1: a number in [0, 1) is needed");
    assert_refused("[model]\ndropout = nan",
                   "a.ini:2: model.dropout = nan: a number in [0, 1) is needed");
    assert_refused("[model]\ndropout = 0.1x",
                   "a.ini:2: model.dropout = 0.1x: a number in [0, 1) is needed");
    assert_refused("[optim]\neps = 0", "a.ini:2: optim.eps = 0: a number in (0, 1] is needed");
    assert_refused("[optim]\nlr = 1e999",
                   "a.ini:2: optim.lr = 1e999: a number in (0, 1e6] is needed");
    assert_refused("[model]\nfinal_norm = yes",
                   "a.ini:2: model.final_norm = yes: true or false is needed");
    assert_refused("[optim]\nkind = adamx", "a.ini:2: optim.kind = adamx: one of adam|adamw|sgd is "
                                            "needed");
    assert_refused("[optim]\nkind = ada",
                   "a.ini:2: optim.kind = ada: one of adam|adamw|sgd is needed");
    assert_refused("[data]\ntask = \x01",
                   "a.ini:2: data.task: a text is UTF-8 without control "
                   "characters, without spaces at its ends and without \" ;\"");
}
END_TEST

START_TEST(long_lines_are_refused)
{
    char text[400], path[WEFT_CONFIG_TEXT + 1], message[128];
    memset(path, 'p', WEFT_CONFIG_TEXT);
    path[WEFT_CONFIG_TEXT] = '\0';
    snprintf(text, sizeof text, "[data]\ntrain = %s", path + 1); /* the longest */
    weft_config c = defaults();
    ck_assert_int_eq(weft_config_parse(&c, text, "a.ini"), WEFT_OK);
    ck_assert_str_eq(c.data.train, path + 1);
    snprintf(text, sizeof text, "[data]\ntrain = %s", path);
    snprintf(message, sizeof message, "a.ini:2: data.train has %d bytes, at most %d are allowed",
             WEFT_CONFIG_TEXT, WEFT_CONFIG_TEXT - 1);
    assert_refused(text, message);
    snprintf(text, sizeof text, "# %s%s\n", path, path);
    assert_refused(text, "a.ini:1: a line of 354 bytes; at most 198 are read");
}
END_TEST

START_TEST(a_file_is_read_or_refused)
{
    char path[] = "config-XXXXXX";
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    FILE *file = fdopen(fd, "w");
    fputs("[model]\nheads = 2\nffn = \xFF\n", file);
    fclose(file);
    weft_config c = defaults();
    ck_assert_int_eq(weft_config_read(&c, path), WEFT_ERR_INPUT);
    ck_assert_msg(strstr(weft_message(), ":3") != NULL, "%s", weft_message());
    ck_assert_int_eq(c.model.heads, 8);
    file = fopen(path, "w");
    fputs("[model]\nheads = 2\n", file);
    fclose(file);
    ck_assert_int_eq(weft_config_read(&c, path), WEFT_OK);
    ck_assert_int_eq(c.model.heads, 2);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(weft_config_read(&c, path), WEFT_ERR_INPUT);
    ck_assert(strstr(weft_message(), path) != NULL);
}
END_TEST

START_TEST(set_overrules)
{
    weft_config c = defaults();
    ck_assert_int_eq(weft_config_set(&c, "optim.lr=0.002"), WEFT_OK);
    ck_assert_int_eq(weft_config_set(&c, "data.train=a=b"), WEFT_OK);
    ck_assert(c.optim.lr == 0.002 && strcmp(c.data.train, "a=b") == 0);
    static const char *const wrong[][2] = {
        { "optim.lr", "--set optim.lr: section.key=value is needed" },
        { "=3", "--set =3: section.key=value is needed" },
        { "lr=3", "--set: unknown key lr" },
        { "optim.rl=3", "--set: unknown key optim.rl (did you mean optim.lr?)" },
        { "model.heads=-1", "--set: model.heads = -1: a whole number in [1, 1024] is needed" },
        { "data.task= x", "--set: data.task: a text is UTF-8 without control characters, without "
                          "spaces at its ends and without \" ;\"" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ck_assert_int_eq(weft_config_set(&c, wrong[i][0]), WEFT_ERR_INPUT);
        ck_assert_str_eq(weft_message(), wrong[i][1]);
    }
}
END_TEST

START_TEST(text_reads_back_to_equal_values)
{
    weft_config c = defaults(), back = defaults();
    static const char *const assignments[] = {
        "data.train=/x/train",   "data.src=en",
        "data.tgt=de",           "model.kind=decoder-only",
        "model.dropout=0.3",     "optim.lr=0.1",
        "optim.eps=1.5e-300",    "optim.beta2=0.98765432109876543",
        "model.tie=none",        "optim.schedule=constant",
        "data.lowercase=true",   "train.seed=9007199254740992",
        "model.activation=silu",
    };
    for (size_t i = 0; i < sizeof assignments / sizeof *assignments; i++) {
        ck_assert_msg(weft_config_set(&c, assignments[i]) == WEFT_OK, "%s", weft_message());
    }
    char *text = weft_config_text(&c, true);
    ck_assert_msg(weft_config_parse(&back, text, "text") == WEFT_OK, "%s", weft_message());
    ck_assert(memcmp(&c, &back, sizeof c) == 0);
    ck_assert(strstr(text, "\nlr = 0.1\n") != NULL && strstr(text, "train = /x/train\n") != NULL);
    char *again = weft_config_text(&back, true);
    ck_assert_str_eq(text, again);
    weft_free(again);
    weft_free(text);
}
END_TEST

START_TEST(text_for_checkpoints_has_no_path)
{
    weft_config a = defaults(), b = defaults();
    ck_assert_int_eq(weft_config_set(&a, "data.train=/home/a/train"), WEFT_OK);
    ck_assert_int_eq(weft_config_set(&b, "data.valid=elsewhere"), WEFT_OK);
    char *text_a = weft_config_text(&a, false), *text_b = weft_config_text(&b, false);
    ck_assert_str_eq(text_a, text_b);
    ck_assert_int_eq(weft_config_parse(&a, text_a, "text"), WEFT_OK);
    ck_assert_str_eq(a.data.train, "/home/a/train");
    weft_free(text_a);
    weft_free(text_b);
}
END_TEST

START_TEST(paths_become_absolute)
{
    weft_config c = defaults();
    ck_assert_int_eq(weft_config_set(&c, "data.train=a/train"), WEFT_OK);
    ck_assert_int_eq(weft_config_set(&c, "data.train2=/b/more.tsv"), WEFT_OK);
    ck_assert_int_eq(weft_config_set(&c, "data.valid=-"), WEFT_OK);
    ck_assert_int_eq(weft_config_set(&c, "data.src=en"), WEFT_OK);
    memset(c.data.test, 'x', WEFT_CONFIG_TEXT - 1);
    weft_config_place(&c, "/home");
    ck_assert_str_eq(c.data.train, "/home/a/train");
    ck_assert_str_eq(c.data.more[0], "/b/more.tsv");
    ck_assert_str_eq(c.data.valid, "-"); /* the standard input */
    ck_assert_str_eq(c.data.src, "en");
    ck_assert_str_eq(c.data.codes, "");
    ck_assert_int_eq(c.data.test[0], 'x'); /* no room */
    ck_assert_uint_eq(strlen(c.data.test), WEFT_CONFIG_TEXT - 1);
}
END_TEST

/* docs/configuration.md is what weft_config_reference() gives. */
START_TEST(docs_are_up_to_date)
{
    static char committed[65536];
    FILE *file = fopen(WEFT_SOURCE_DIR "/docs/configuration.md", "r");
    ck_assert(file != NULL);
    committed[fread(committed, 1, sizeof committed - 1, file)] = '\0';
    fclose(file);
    char *text = weft_config_reference();
    ck_assert_msg(strcmp(text, committed) == 0,
                  "docs/configuration.md is not what weft_config_reference() gives");
    weft_free(text);
}
END_TEST

START_TEST(no_memory_is_an_error)
{
    const weft_config config = defaults();
    for (int with_reference = 0; with_reference < 2; with_reference++) {
        int n_failed = 0;
        for (int64_t n = 1;; n++) {
            weft_alloc_fail_at(n, false);
            char *text = with_reference ? weft_config_reference() : weft_config_text(&config, true);
            weft_alloc_fail_at(0, false);
            weft_free(text);
            if (text != NULL) break;
            n_failed++;
        }
        ck_assert_int_gt(n_failed, 2);
    }
}
END_TEST

/* Set two or three keys on a configuration that is right: it must then be refused with a sentence
 * that has `part` in it. */
static void assert_unfit(const char *const assignments[], const char *part)
{
    weft_config c = defaults();
    ck_assert_int_eq(weft_config_set(&c, "data.task=copy"), WEFT_OK);
    ck_assert_msg(weft_config_check(&c) == WEFT_OK, "%s", weft_message());
    for (int i = 0; assignments[i] != NULL; i++) {
        ck_assert_msg(weft_config_set(&c, assignments[i]) == WEFT_OK, "%s", weft_message());
    }
    ck_assert_msg(weft_config_check(&c) == WEFT_ERR_INPUT, "%s", part);
    ck_assert_msg(strstr(weft_message(), part) != NULL, "%s is not in: %s", part, weft_message());
}
#define UNFIT(part, ...) assert_unfit((const char *const[]){ __VA_ARGS__, NULL }, part)

START_TEST(values_must_fit_together)
{
#define FILES "data.task=", "data.train=x"
    UNFIT("data.vocab is set beside data.task = copy, which says", "data.vocab=char");
    UNFIT("data.tokenise is set beside data.task = copy", "data.tokenise=punct");
    UNFIT("nothing to train on", "data.task=");
    UNFIT("only one of the two", "data.train=x");
    UNFIT("data.src is set without data.tgt", "data.src=en");
    UNFIT("data.tgt is set without data.src", "data.tgt=en");
    UNFIT("model.d_model = 512 must be divisible by model.heads = 7", "model.heads=7");
    UNFIT("data.length = 30 is set without data.task", "data.task=", "data.train=x",
          "data.length=30");
    UNFIT("data.test_length = 30 is set without data.task", "data.task=", "data.train=x",
          "data.test_length=30");
    UNFIT("data.task_k = 3 is set without data.task", "data.task=", "data.train=x",
          "data.task_k=3");
    UNFIT("data.valid is set beside data.task = copy", "data.valid=x");
    UNFIT("data.test is set beside data.task = copy", "data.test=x");
    UNFIT("data.test is set for model.kind = decoder-only", "data.task=", "data.train=x",
          "data.test=x", "model.kind=decoder-only");
    UNFIT("data.src is set for model.kind = decoder-only", "data.task=", "data.train=x",
          "data.src=en", "data.tgt=de", "model.kind=decoder-only");
    UNFIT("must be even", "model.d_model=15", "model.heads=3");
    UNFIT("data.max_length needs 257", "model.position=learned", "model.max_positions=256");
    UNFIT("train.max_decode_length needs 1001", "model.position=learned",
          "train.max_decode_length=1000", "model.max_positions=1000");
    UNFIT("must be even", "model.d_model=15", "model.heads=3", "model.position=sinusoidal_half");
    UNFIT("xavier_stacked cannot be", "model.norm=deep", "model.init=xavier_stacked");
    UNFIT("model.heads = 8 must be divisible by model.kv_heads = 3", "model.kv_heads=3");
    UNFIT("model.attention = linformer mixes all positions of a text, so it cannot be causal: it "
          "needs "
          "model.kind = encoder-decoder, for its encoder",
          "model.attention=linformer", "model.kind=decoder-only");
    UNFIT("model.linformer_length = 100 is too small: data.max_length needs 257",
          "model.attention=linformer", "model.linformer_length=100");
    UNFIT("model.attention = lsh has no weights that model.attention_dropout = 0.1 could drop",
          "model.attention=lsh", "model.attention_dropout=0.1");
    UNFIT("model.attention = probsparse needs as many heads of keys and values as of queries, not "
          "model.kv_heads = 2",
          "model.attention=probsparse", "model.kv_heads=2");
    UNFIT(
        "model.attention = linear has no scores of single pairs, which model.position = rope would "
        "make depend on the distance",
        "model.attention=linear", "model.position=rope");
    UNFIT("model.attention = performer keeps keys that are turned, which model.rope_scaling = "
          "dynamic "
          "would turn anew",
          "model.attention=performer", "model.position=rope", "model.rope_scaling=dynamic",
          "model.rope_length=64");
    UNFIT("model.value_width = 9 is that of heads of self-attention: it needs model.mixer = "
          "attention",
          "model.value_width=9", "model.mixer=gru");
    UNFIT("model.attention = lsh needs model.mixer = attention", "model.attention=lsh",
          "model.mixer=lstm", "model.position=none");
    UNFIT("model.kv_heads = 2 groups the heads of self-attention", "model.mixer=gru",
          "model.position=none", "model.kv_heads=2");
    UNFIT("model.qk_norm normalises queries and keys of self-attention", "model.mixer=lstm",
          "model.position=none", "model.qk_norm=true");
    UNFIT("model.features needs model.attention = performer", "model.features=64");
    UNFIT("model.redraw needs model.attention = performer, lsh, probsparse or probsparse_causal",
          "model.attention=linear", "model.redraw=5");
    UNFIT("model.heads = 15 must be even", "model.position=rope", "model.d_model=30",
          "model.heads=2");
    UNFIT("model.mixer puts another layer", "model.position=rope", "model.mixer=lstm");
    UNFIT("model.rope_scaling = yarn needs model.position = rope", "model.rope_scaling=yarn");
    UNFIT("model.rope_factor = 2 needs model.rope_scaling", "model.position=rope",
          "model.rope_factor=2");
    UNFIT("model.rope_length = 9 needs model.rope_scaling", "model.position=rope",
          "model.rope_scaling=ntk", "model.rope_length=9");
    UNFIT("model.rope_scaling = dynamic needs model.rope_length", "model.position=rope",
          "model.rope_scaling=dynamic");
    UNFIT("heads = 2 must be at least 4", "model.position=rope", "model.d_model=4", "model.heads=2",
          "model.rope_scaling=ntk");
    UNFIT("two vocabularies", "data.joint_vocab=false");
    UNFIT("never end", "train.max_updates=0");
    UNFIT("must be below train.max_updates = 4000", "optim.schedule=cosine",
          "train.max_updates=4000");
    UNFIT("optim.schedule = linear ends", "optim.schedule=linear", "train.max_updates=0",
          "train.max_minutes=1");
    UNFIT("at least 1 for optim.schedule = noam", "optim.warmup=0");
    UNFIT("at least 1 for optim.schedule = inverse_sqrt", "optim.warmup=0",
          "optim.schedule=inverse_sqrt");
    UNFIT("optim.lr_end = 2 must not be above", "optim.lr_end=2");
    UNFIT("needs optim.kind = adamw or sgd", "optim.weight_decay=0.1");
    UNFIT("needs optim.kind = sgd", "optim.momentum=0.9");
    UNFIT("train.target_exact needs data.valid", "data.task=", "data.train=x",
          "train.target_exact=99");
    UNFIT("data.train2 is set without data.train", "data.train2=x");
    UNFIT("data.weight3 = 2 is set without data.train3", "data.weight3=2");
    UNFIT("data.weight = 2 is set without data.train", "data.weight=2");
    UNFIT("data.max_ratio = 0.5: 0, or a number from 1 on", "data.max_ratio=0.5");
    UNFIT("data.codes needs data.vocab = bpe", "data.codes=x");
    UNFIT("data.codes_tgt needs data.vocab = bpe", "data.codes_tgt=x");
    UNFIT("data.bpe_dropout needs data.vocab = bpe", "data.bpe_dropout=0.1");
    UNFIT("data.max_vocab = 259 is too small for data.vocab = bpe: 259 are", FILES,
          "data.vocab=bpe", "data.max_vocab=259");
    UNFIT("data.merges = 0 needs data.max_vocab or data.codes", FILES, "data.vocab=bpe",
          "data.merges=0", "data.max_vocab=0");
    UNFIT("data.codes_tgt needs data.codes, and data.joint_vocab = false", FILES, "data.vocab=bpe",
          "data.codes=x", "data.codes_tgt=y");
    UNFIT("data.codes_tgt needs data.codes, and data.joint_vocab = false", FILES, "data.vocab=bpe",
          "data.joint_vocab=false", "model.tie=target", "data.codes_tgt=y");
    UNFIT("data.bpe_dropout = 0.1 is for sentence pairs", FILES, "data.vocab=bpe",
          "data.bpe_dropout=0.1", "model.kind=decoder-only");
    UNFIT("train.samples needs data.valid", "data.task=", "data.train=x", "train.samples=3");
    UNFIT("train.head_stats needs data.valid", "data.task=", "data.train=x",
          "train.head_stats=true");
    UNFIT("train.samples = 3 is set for model.kind = decoder-only", "data.task=", "data.train=x",
          "data.valid=x", "model.kind=decoder-only", "train.samples=3");
    UNFIT("train.patience needs data.valid", "data.task=", "data.train=x", "train.patience=3");
    UNFIT("train.monitor needs data.valid", "data.task=", "data.train=x", "train.monitor=bleu");
    UNFIT("train.monitor needs data.valid", "data.task=", "data.train=x", "train.monitor=chrf");
    UNFIT("train.monitor needs data.valid", "data.task=", "data.train=x", "train.monitor=exact");
    UNFIT("train.keep_best needs data.valid", "data.task=", "data.train=x", "train.keep_best=2");
    UNFIT("train.penalty needs train.beam above 1", "train.penalty=word");
    UNFIT("train.length_penalty needs train.beam above 1", "train.length_penalty=-0.8");
    UNFIT("train.smoothing = others needs train.label_smoothing above 0", "train.smoothing=others",
          "train.label_smoothing=0");
    UNFIT("train.smoothing = annotated needs train.label_smoothing above 0",
          "train.smoothing=annotated", "train.label_smoothing=0");
}
END_TEST

/* Patterns of attention, positions in its scores, its weights. */
START_TEST(forms_of_attention_must_fit_together)
{
    UNFIT("model.position = alibi is added to the scores of exact attention",
          "model.position=alibi", "model.attention=linear");
    UNFIT("model.position = t5 is added to the scores of exact attention", "model.position=t5",
          "model.mixer=lstm");
    UNFIT("model.position = shaw is added to the scores of exact attention", "model.position=shaw",
          "model.attention=probsparse_causal");
    UNFIT("model.attention_weights = sigmoid needs exact attention",
          "model.attention_weights=sigmoid", "model.attention=performer");
    UNFIT("model.attention_weights = sigmoid needs exact attention",
          "model.attention_weights=sigmoid", "model.mixer=rnn", "model.position=none");
    UNFIT("model.sigmoid_bias = -2 needs model.attention_weights = sigmoid",
          "model.sigmoid_bias=-2");
    UNFIT("model.sigmoid_bias_auto = false needs model.attention_weights = sigmoid",
          "model.sigmoid_bias_auto=false");
    UNFIT("model.max_distance = 8 needs model.position = t5 or shaw", "model.position=alibi",
          "model.max_distance=8");
    UNFIT("so it needs an encoder: for model.kind = decoder-only take window",
          "model.attention=longformer", "model.global_tokens=1", "model.kind=decoder-only");
    UNFIT("model.attention = longformer needs model.global_tokens", "model.attention=longformer");
    UNFIT("model.summary = 9 is more than the block of model.stride = 8 has",
          "model.attention=fixed", "model.stride=8", "model.summary=9");
    UNFIT("model.window_blocks = 2 must be odd", "model.attention=bigbird",
          "model.window_blocks=2");
    UNFIT("model.attention = window needs model.mixer = attention", "model.attention=window",
          "model.mixer=lstm", "model.position=none");
    UNFIT("model.window needs model.attention = window, dilated or longformer", "model.window=9");
    UNFIT("model.gap needs model.attention = dilated", "model.attention=window", "model.gap=3");
    UNFIT("model.stride needs model.attention = strided or fixed", "model.attention=window",
          "model.stride=9");
    UNFIT("model.summary needs model.attention = fixed", "model.attention=strided",
          "model.summary=3");
    UNFIT("model.block needs model.attention = bigbird or blocks", "model.attention=strided",
          "model.block=9");
    UNFIT("model.window_blocks needs model.attention = bigbird", "model.window_blocks=5");
    UNFIT("model.blocks needs model.attention = blocks", "model.blocks=-1 0");
    UNFIT("model.attention = blocks needs model.mixer = attention", "model.attention=blocks",
          "model.blocks=0", "model.mixer=gru", "model.position=none");
    static const char *const lists[] = { "",     "-1 1",  "0 -1",    "0 0", "x",
                                         "0 1x", "0 1.5", "0 70000", "-1;0" };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char list[64];
        snprintf(list, sizeof list, "model.blocks=%s", lists[i]);
        UNFIT("must be at most 32 whole numbers that rise, with 0, a token's own block, among them",
              "model.attention=blocks", list);
    }
    UNFIT("model.global_blocks needs model.attention = bigbird", "model.global_blocks=5");
    UNFIT("model.random_blocks needs model.attention = bigbird", "model.random_blocks=5");
    UNFIT("model.global_tokens needs model.attention = window, dilated, strided, fixed, "
          "longformer or blocks",
          "model.attention=bigbird", "model.global_tokens=1");
    UNFIT("model.probsparse_factor needs model.attention = probsparse or probsparse_causal",
          "model.probsparse_factor=3");
    UNFIT("model.lsh_rounds needs model.attention = lsh", "model.lsh_rounds=3");
    UNFIT("model.linformer_k needs model.attention = linformer", "model.linformer_k=9");
    UNFIT("model.feature_kind needs model.attention = performer", "model.attention=linear",
          "model.feature_kind=hyperbolic");
}
END_TEST

START_TEST(distances)
{
    ck_assert_int_eq(weft_edit_distance("", "abc"), 3);
    ck_assert_int_eq(weft_edit_distance("abc", ""), 3);
    ck_assert_int_eq(weft_edit_distance("kitten", "sitting"), 3);
    ck_assert_int_eq(weft_edit_distance("heads", "haeds"), 1);
    ck_assert_int_eq(weft_edit_distance("ca", "abc"),
                     3); /* optimal string alignment, not Damerau's 2 */
    weft_nearest nearest = weft_nearest_init("traim");
    weft_nearest_offer(&nearest, "translate");
    ck_assert_ptr_null(nearest.name);
    weft_nearest_offer(&nearest, "train");
    weft_nearest_offer(&nearest, "trail");
    ck_assert_str_eq(nearest.name, "train");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *read = tcase_create("read");
    tcase_add_test(read, defaults_are_the_papers);
    tcase_add_test(read, files_are_read);
    tcase_add_test(read, a_file_is_read_or_refused);
    tcase_add_test(read, set_overrules);
    suite_add_tcase(suite, read);
    TCase *mistakes = tcase_create("mistakes");
    tcase_add_test(mistakes, mistakes_name_file_line_and_key);
    tcase_add_test(mistakes, wrong_values_say_what_is_allowed);
    tcase_add_test(mistakes, long_lines_are_refused);
    tcase_add_test(mistakes, distances);
    suite_add_tcase(suite, mistakes);
    TCase *text = tcase_create("text");
    tcase_add_test(text, text_reads_back_to_equal_values);
    tcase_add_test(text, text_for_checkpoints_has_no_path);
    tcase_add_test(text, paths_become_absolute);
    tcase_add_test(text, docs_are_up_to_date);
    tcase_add_test(text, no_memory_is_an_error);
    suite_add_tcase(suite, text);
    TCase *fit = tcase_create("fit");
    tcase_add_test(fit, values_must_fit_together);
    tcase_add_test(fit, forms_of_attention_must_fit_together);
    suite_add_tcase(suite, fit);
    return run_suite(suite);
}
