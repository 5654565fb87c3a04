/* limits.c - measures what is proved of attention on formal languages: the tables of docs/limits.md.
 *
 *     limits flip        effect of one symbol on the output, by length      (Hahn 2020, lemma 5)
 *     limits gradient    of the last output by the first input, by distance
 *     limits parity      trained on up to 20 bits, tested on up to 512
 *     limits first       the same for the first bit (Chiang & Cholak 2022)
 *
 * Single precision would lose the small differences: this is the double library. One thread. The exit
 * code says whether the table shows what the page says of it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

static void fail(void)
{
    fprintf(stderr, "limits: %s\n", weft_message());
    exit(EXIT_FAILURE);
}

static void expect_ok(weft_status status)
{
    if (status != WEFT_OK) fail();
}

static void *expect_made(void *object)
{
    if (!object) fail();
    return object;
}

/* ---- models: a stack that reads bits and =, and answers at = ------------------------------------ */

enum { ZERO, ONE, EQUALS, N_SYMBOLS, MAX_LAYERS = 2 };

typedef enum mixer { ATTENTION, LSTM, GRU, TANH } mixer;
typedef enum positions { NO_POSITIONS, SINUSOIDAL, FIRST_OR_NOT } positions;

typedef struct form {
    mixer mixer;
    positions positions;
    int n_layers, heads;
    int64_t D;
    double norm_eps; /* of LayerNorm after each residual sum; 0: no LayerNorm */
    bool log_n;      /* attention scores times log n */
} form;

typedef struct block {
    weft_linear_layer q, k, v, out, linear1, linear2;
    weft_norm_layer norm1, norm2;
    weft_recurrent_layer recurrent;
} block;

typedef struct model {
    form form;
    weft_params *params;
    weft_param symbols, places; /* [3, D]; [2, D] another place, the first one */
    block blocks[MAX_LAYERS];
    weft_linear_layer answer; /* [2, D] */
} model;

static void init_linear(weft_linear_layer *layer, weft_params *params, const char *where,
                        const char *name, int64_t K, int64_t C)
{
    char full[64];
    const weft_init init = { .kind = WEFT_INIT_XAVIER_UNIFORM };
    snprintf(full, sizeof full, "%s.%s", where, name);
    expect_ok(weft_linear_layer_init(layer, params, full, K, C, true, init));
}

static void init_block(block *b, weft_params *params, const form *f, int i)
{
    char where[32], norm[2][40];
    const int64_t D = f->D;
    snprintf(where, sizeof where, "layers.%d", i);
    if (f->mixer == ATTENTION) {
        init_linear(&b->q, params, where, "q", D, D);
        init_linear(&b->k, params, where, "k", D, D);
        init_linear(&b->v, params, where, "v", D, D);
        init_linear(&b->out, params, where, "out", D, D);
    } else {
        static const weft_cell cells[] = {
            [LSTM] = WEFT_CELL_LSTM, [GRU] = WEFT_CELL_GRU, [TANH] = WEFT_CELL_TANH
        };
        expect_ok(weft_recurrent_layer_init(&b->recurrent, params, where, D, D, cells[f->mixer]));
    }
    init_linear(&b->linear1, params, where, "linear1", D, 4 * D);
    init_linear(&b->linear2, params, where, "linear2", 4 * D, D);
    for (int k = 0; k < 2 && f->norm_eps > 0; k++) {
        snprintf(norm[k], sizeof norm[k], "%s.norm%d", where, k);
        expect_ok(weft_norm_layer_init(k == 0 ? &b->norm1 : &b->norm2, params, norm[k], D,
                                       (weft_norm_spec){ .eps = f->norm_eps }, false));
    }
}

static model model_new(const form *f, uint64_t seed)
{
    model m = { .form = *f, .params = expect_made(weft_params_new(seed)) };
    const weft_init normal = { WEFT_INIT_NORMAL, 1, 0 };
    expect_ok(weft_params_add(m.params, "symbols", WEFT_DIMS(N_SYMBOLS, f->D), normal, &m.symbols));
    if (f->positions == FIRST_OR_NOT)
        expect_ok(weft_params_add(m.params, "places", WEFT_DIMS(2, f->D), normal, &m.places));
    for (int i = 0; i < f->n_layers; i++) init_block(&m.blocks[i], m.params, f, i);
    init_linear(&m.answer, m.params, "answer", "linear", f->D, 2);
    return m;
}

/* B strings of n symbols, = included. */
typedef struct strings {
    int64_t B, n;
    int32_t *ids, *offsets, *rows, *first, *last, *answers;
} strings;

static strings strings_new(int64_t B, int64_t n)
{
    const size_t N = (size_t)(B * n);
    strings s = { .B = B,
                  .n = n,
                  .ids = expect_made(weft_alloc(N, sizeof(int32_t))),
                  .offsets = expect_made(weft_alloc((size_t)B + 1, sizeof(int32_t))),
                  .rows = expect_made(weft_alloc(2 * N, sizeof(int32_t))),
                  .first = expect_made(weft_alloc(N, sizeof(int32_t))),
                  .last = expect_made(weft_alloc((size_t)B, sizeof(int32_t))),
                  .answers = expect_made(weft_alloc((size_t)B, sizeof(int32_t))) };
    for (int64_t b = 0; b < B; b++) {
        s.offsets[b + 1] = (int32_t)((b + 1) * n);
        s.last[b] = s.offsets[b + 1] - 1;
        s.first[b * n] = 1;
        for (int64_t i = 0; i < n; i++) {
            s.rows[2 * (b * n + i)] = (int32_t)b;
            s.rows[2 * (b * n + i) + 1] = (int32_t)i;
        }
        s.ids[b * n + n - 1] = EQUALS;
    }
    return s;
}

static void strings_free(strings *s)
{
    weft_free(s->ids);
    weft_free(s->offsets);
    weft_free(s->rows);
    weft_free(s->first);
    weft_free(s->last);
    weft_free(s->answers);
}

static weft_var attend(const model *m, const block *b, weft_tape *tape, weft_var x,
                       const strings *s, weft_var offsets)
{
    const double K = (double)m->form.D / m->form.heads;
    const weft_attention_spec spec = { .heads = m->form.heads,
                                       .scale = (m->form.log_n ? log((double)s->n) : 1) / sqrt(K),
                                       .q_offsets = offsets };
    const weft_var q = weft_linear_layer_apply(&b->q, tape, x, WEFT_IDENTITY),
                   k = weft_linear_layer_apply(&b->k, tape, x, WEFT_IDENTITY),
                   v = weft_linear_layer_apply(&b->v, tape, x, WEFT_IDENTITY);
    return weft_linear_layer_apply(&b->out, tape, weft_attention(tape, q, k, v, &spec),
                                   WEFT_IDENTITY);
}

static weft_var add(const model *m, const weft_norm_layer *norm, weft_tape *tape, weft_var x,
                    weft_var y)
{
    const weft_var sum = weft_add(tape, x, y);
    return m->form.norm_eps > 0 ? weft_norm_layer_apply(norm, tape, sum) : sum;
}

/* The states at =, [B, D]; what the first layer reads in *embedded (may be NULL). */
static weft_var states(const model *m, weft_tape *tape, const strings *s, weft_var *embedded)
{
    const int64_t N = s->B * s->n;
    const weft_var offsets = weft_constant_int(tape, WEFT_DIMS(s->B + 1), s->offsets);
    weft_var x = weft_embedding(tape, weft_use(tape, m->symbols),
                                weft_constant_int(tape, WEFT_DIMS(N), s->ids), 1);
    if (m->form.positions == SINUSOIDAL) {
        const weft_packed packed = { .B = s->B,
                                     .N = N,
                                     .rows = weft_constant_int(tape, WEFT_DIMS(N, 2), s->rows) };
        const weft_position_layer layer = { .config = { .kind = WEFT_POSITION_SINUSOIDAL,
                                                        .width = m->form.D } };
        x = weft_position_layer_add(&layer, tape, x, &packed);
    } else if (m->form.positions == FIRST_OR_NOT) {
        x = weft_add(tape, x,
                     weft_embedding(tape, weft_use(tape, m->places),
                                    weft_constant_int(tape, WEFT_DIMS(N), s->first), 1));
    }
    if (embedded) *embedded = x;
    for (int i = 0; i < m->form.n_layers; i++) {
        const block *b = &m->blocks[i];
        const weft_packed packed = { .B = s->B, .N = N, .offsets = offsets };
        const weft_var y = m->form.mixer == ATTENTION
                               ? attend(m, b, tape, x, s, offsets)
                               : weft_recurrent_layer_apply(&b->recurrent, tape, x, &packed);
        x = add(m, &b->norm1, tape, x, y);
        const weft_var hidden = weft_linear_layer_apply(&b->linear1, tape, x, WEFT_RELU);
        x = add(m, &b->norm2, tape, x,
                weft_linear_layer_apply(&b->linear2, tape, hidden, WEFT_IDENTITY));
    }
    return weft_embedding(tape, x, weft_constant_int(tape, WEFT_DIMS(s->B), s->last), 1);
}

static double norm_of(const weft_real *x, const weft_real *y, int64_t n)
{
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += pow((double)x[k] - (y ? (double)y[k] : 0), 2);
    return sqrt(sum);
}

/* Slope of log y against log x. */
static double slope(int n, const double x[], const double y[])
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (int i = 0; i < n; i++) {
        const double a = log(x[i]), b = log(y[i]);
        sx += a, sy += b, sxx += a * a, sxy += a * b;
    }
    return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

/* ---- flip ---------------------------------------------------------------------------------------- */

/* One bit in the middle of a random string is flipped: the change of the state at = by its size, the
 * geometric mean over models. */
static double flip_random(const form *f, int64_t n)
{
    enum { N_MODELS = 20 };
    double sum = 0;
    for (uint64_t seed = 1; seed <= N_MODELS; seed++) {
        model m = model_new(f, seed);
        weft_tape *tape = expect_made(weft_tape_new(WEFT_NO_GRAD));
        strings s = strings_new(2, n + 1);
        for (int64_t i = 0; i < n; i++) {
            const bool one = weft_random_below(seed, (uint64_t)i, 2) == 1;
            s.ids[i] = one ? ONE : ZERO;
            s.ids[n + 1 + i] = one == (i != n / 2) ? ONE : ZERO;
        }
        const weft_var y = states(&m, tape, &s, NULL);
        expect_ok(weft_tape_status(tape));
        const weft_real *both = weft_value(tape, y).real;
        sum += log(norm_of(both, both + f->D, f->D) / norm_of(both, NULL, f->D));
        strings_free(&s);
        weft_tape_free(tape);
        weft_params_free(m.params);
    }
    return exp(sum / N_MODELS);
}

/* Attention that weighs n symbols +e and -e equally, then LayerNorm: the change where one bit turns
 * the majority of an odd number of them. */
static double flip_majority(double eps, int64_t n)
{
    enum { D = 32 };
    weft_tape *tape = expect_made(weft_tape_new(WEFT_NO_GRAD));
    weft_real *x = expect_made(weft_alloc((size_t)(n * D), sizeof *x));
    weft_var y[2];
    for (int flipped = 0; flipped < 2; flipped++) {
        for (int64_t i = 0; i < n * D; i++) { /* (n + 1) / 2 bits are 1, or one less */
            const bool one = i / D < n / 2 + !flipped;
            const double e = weft_random_normal(7, 0, (uint32_t)(i % D));
            x[i] = one ? e : -e;
        }
        const weft_var symbols = weft_constant(tape, WEFT_DIMS(n, D), x),
                       q = weft_full(tape, WEFT_DIMS(1, D), 0),
                       gain = weft_full(tape, WEFT_DIMS(D), 1);
        const weft_var mean =
            weft_attention(tape, q, symbols, symbols, &(weft_attention_spec){ .heads = 1 });
        y[flipped] = weft_add_norm(tape, WEFT_NIL, mean, gain, WEFT_NIL,
                                   &(weft_add_norm_spec){ .norm = { .eps = eps } }, NULL);
    }
    expect_ok(weft_tape_status(tape));
    const weft_real *before = weft_value(tape, y[0]).real, *after = weft_value(tape, y[1]).real;
    const double change = norm_of(before, after, D) / sqrt(D);
    weft_free(x);
    weft_tape_free(tape);
    return change;
}

static int flip(void)
{
    enum { N = 6, FIRST_FITTED = 1 };
    const form plain = { .positions = SINUSOIDAL, .n_layers = 2, .heads = 4, .D = 32 };
    form normed = plain;
    normed.norm_eps = 1e-5;
    double n[N], y[4][N];
    printf("| n | no LayerNorm | LayerNorm | majority, eps 1e-5 | majority, eps 1e-12 |\n"
           "|---|---|---|---|---|\n");
    for (int i = 0; i < N; i++) {
        const int64_t length = (int64_t)32 << i;
        n[i] = (double)length;
        y[0][i] = flip_random(&plain, length);
        y[1][i] = flip_random(&normed, length);
        y[2][i] = flip_majority(1e-5, length + 1);
        y[3][i] = flip_majority(1e-12, length + 1);
        printf("| %lld | %.2e | %.2e | %.2e | %.2e |\n", (long long)length, y[0][i], y[1][i],
               y[2][i], y[3][i]);
    }
    double slopes[4];
    for (int k = 0; k < 4; k++)
        slopes[k] = slope(N - FIRST_FITTED, n + FIRST_FITTED, y[k] + FIRST_FITTED);
    printf("| slope | %.2f | %.2f | %.2f | %.2f |\n", slopes[0], slopes[1], slopes[2], slopes[3]);
    const bool as_proved =
        fabs(slopes[0] + 1) < 0.1 && fabs(slopes[1] + 1) < 0.1 && fabs(slopes[3]) < 0.1;
    return as_proved ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- gradient ------------------------------------------------------------------------------------ */

/* |d (a random direction of the last state) / d (first input)|, mean of the logarithm over models. */
static double gradient_of(const form *f, int64_t n)
{
    enum { N_MODELS = 20 };
    double sum = 0;
    for (uint64_t seed = 1; seed <= N_MODELS; seed++) {
        model m = model_new(f, seed);
        weft_tape *tape = expect_made(weft_tape_new(WEFT_RETAIN));
        strings s = strings_new(1, n);
        weft_real dy[64];
        for (int64_t i = 0; i < n - 1; i++)
            s.ids[i] = weft_random_below(seed, (uint64_t)i, 2) == 1 ? ONE : ZERO;
        for (int64_t k = 0; k < f->D; k++) dy[k] = weft_random_normal(seed, 1, (uint32_t)k);
        weft_var x;
        const weft_var y = states(&m, tape, &s, &x);
        expect_ok(weft_backward(tape, y, dy));
        sum += log(norm_of(weft_gradient(tape, x).real, NULL, f->D));
        strings_free(&s);
        weft_tape_free(tape);
        weft_params_free(m.params);
    }
    return exp(sum / N_MODELS);
}

static int gradient(void)
{
    enum { N = 8, N_FORMS = 4, FAR = 3 }; /* from where on a power of the distance is fitted */
    static const mixer mixers[N_FORMS] = { TANH, LSTM, GRU, ATTENTION };
    double n[N], y[N_FORMS][N], step[N_FORMS];
    printf("| distance | tanh | LSTM | GRU | attention |\n|---|---|---|---|---|\n");
    for (int i = 0; i < N; i++) {
        n[i] = (double)(2 << i);
        printf("| %d |", 2 << i);
        for (int k = 0; k < N_FORMS; k++) {
            const form f = { .mixer = mixers[k], .n_layers = 1, .heads = 1, .D = 32 };
            y[k][i] = gradient_of(&f, (2 << i) + 1);
            printf(" %.1e |", y[k][i]);
        }
        printf("\n");
    }
    printf("| a step from %.0f to %.0f |", n[N - 2], n[N - 1]);
    for (int k = 0; k < N_FORMS; k++) {
        step[k] = pow(y[k][N - 1] / y[k][N - 2], 1 / (n[N - 1] - n[N - 2]));
        printf(" times %.3f |", step[k]);
    }
    const double doubled = pow(2, slope(N - FAR, n + FAR, y[N_FORMS - 1] + FAR));
    printf("\n| doubling it | | | | times %.2f |\n", doubled);
    bool exponential = true;
    for (int k = 0; k < N_FORMS - 1; k++) exponential = exponential && step[k] < 0.95;
    return exponential && fabs(doubled - 0.5) < 0.05 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- parity and first ------------------------------------------------------------------------------ */

/* Strings of n bits and their answers, drawn by the task. */
static void draw(strings *s, const char *task, uint64_t seed, int64_t index, bool held_out)
{
    const weft_task_stream stream = { .task = weft_task_find(task),
                                      .seed = seed,
                                      .held_out = held_out,
                                      .shortest = (int)s->n - 1,
                                      .longest = (int)s->n - 1 };
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    for (int64_t b = 0; b < s->B; b++) {
        expect_ok(
            weft_task_example(&stream, index + b, source, sizeof source, target, sizeof target));
        for (int64_t i = 0; i < s->n - 1; i++) s->ids[b * s->n + i] = source[i] == '1' ? ONE : ZERO;
        s->answers[b] = target[0] == '1';
    }
}

/* Sum of the cross-entropies of the answers, and the logits. */
static weft_var loss_of(const model *m, weft_tape *tape, const strings *s, weft_var *logits)
{
    *logits = weft_linear_layer_apply(&m->answer, tape, states(m, tape, s, NULL), WEFT_IDENTITY);
    const weft_var answers = weft_constant_int(tape, WEFT_DIMS(s->B), s->answers);
    return weft_sum(tape,
                    weft_cross_entropy(tape, *logits, answers, &(weft_cross_entropy_spec){ 0 }),
                    WEFT_ALL, false);
}

typedef struct course {
    const char *task;
    int longest; /* in training */
    int n_updates;
    double lr;
} course;

static void train(model *m, const course *c)
{
    enum { B = 64 };
    const weft_schedule schedule = { WEFT_SCHEDULE_COSINE, .lr = c->lr, .warmup = 100,
                                     .n_updates = c->n_updates };
    weft_optimiser *adam = expect_made(weft_optimiser_new(
        m->params, &(weft_optimiser_spec){ .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-9, .clip = 1 }));
    weft_tape *tape = expect_made(weft_tape_new(0));
    for (int u = 1; u <= c->n_updates; u++) {
        const int64_t n = 1 + (int64_t)weft_random_below(5, (uint64_t)u, (uint64_t)c->longest);
        strings s = strings_new(B, n + 1);
        draw(&s, c->task, 1, (int64_t)u * B, false);
        weft_tape_reset(tape);
        weft_var logits;
        expect_ok(weft_backward(tape, loss_of(m, tape, &s, &logits), NULL));
        expect_ok(
            weft_optimiser_step(adam, m->params, weft_schedule_rate(&schedule, u), 1.0 / B, NULL));
        strings_free(&s);
    }
    weft_tape_free(tape);
    weft_optimiser_free(adam);
}

/* Cross-entropy in bits, and the percentage of right answers, on n bits. */
static void measure(const model *m, const char *task, int64_t n, double *bits, double *percent)
{
    enum { B = 50, N_BATCHES = 10 };
    weft_tape *tape = expect_made(weft_tape_new(WEFT_NO_GRAD));
    double loss = 0;
    int n_right = 0;
    for (int i = 0; i < N_BATCHES; i++) {
        strings s = strings_new(B, n + 1);
        draw(&s, task, 2, (int64_t)i * B, n > 4); /* of four bits and fewer too few are held out */
        weft_tape_reset(tape);
        weft_var logits;
        loss += weft_item(tape, loss_of(m, tape, &s, &logits));
        expect_ok(weft_tape_status(tape));
        const weft_real *z = weft_value(tape, logits).real;
        for (int b = 0; b < B; b++) n_right += (z[2 * b + 1] > z[2 * b]) == (s.answers[b] == 1);
        strings_free(&s);
    }
    weft_tape_free(tape);
    *bits = loss / log(2) / (B * N_BATCHES);
    *percent = 100.0 * n_right / (B * N_BATCHES);
}

enum { N_FORMS = 4, MAX_LENGTHS = 10 };

/* Trains each form and prints how it answers on each length: percent[length][form]. */
static void learn(const course *c, const form forms[N_FORMS], const char *const names[N_FORMS],
                  int n_lengths, const int lengths[], double percent[MAX_LENGTHS][N_FORMS])
{
    model m[N_FORMS];
    printf("| n |");
    for (int k = 0; k < N_FORMS; k++) {
        m[k] = model_new(&forms[k], 1);
        train(&m[k], c);
        printf(" %s |", names[k]);
        fflush(stdout);
    }
    printf("\n|---|");
    for (int k = 0; k < N_FORMS; k++) printf("---|");
    for (int i = 0; i < n_lengths; i++) {
        printf("\n| %d |", lengths[i]);
        for (int k = 0; k < N_FORMS; k++) {
            double bits;
            measure(&m[k], c->task, lengths[i], &bits, &percent[i][k]);
            printf(" %.3f bits, %.0f %% |", bits, percent[i][k]);
        }
        fflush(stdout);
    }
    printf("\n");
    for (int k = 0; k < N_FORMS; k++) weft_params_free(m[k].params);
}

static int parity(int n_updates)
{
    const form recurrent = { .n_layers = 1, .heads = 1, .D = 32, .norm_eps = 1e-5 };
    form forms[N_FORMS] = { recurrent, recurrent, recurrent, recurrent };
    forms[0] =
        (form){ .positions = SINUSOIDAL, .n_layers = 2, .heads = 4, .D = 32, .norm_eps = 1e-5 };
    forms[1].mixer = LSTM, forms[2].mixer = GRU, forms[3].mixer = TANH;
    static const char *const names[] = { "attention", "LSTM", "GRU", "tanh" };
    static const int lengths[] = { 4, 8, 16, 20, 32, 64, 128, 256, 512 };
    enum { N = sizeof lengths / sizeof *lengths };
    const course c = { "parity", 20, n_updates > 0 ? n_updates : 1500, 3e-3 };
    double percent[MAX_LENGTHS][N_FORMS];
    learn(&c, forms, names, N, lengths, percent);
    bool as_said = true;
    for (int i = 0; i < N; i++) {
        as_said = as_said && (lengths[i] <= c.longest || percent[i][0] < 60);
        for (int k = 1; k < N_FORMS; k++) as_said = as_said && percent[i][k] == 100;
    }
    return as_said ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int first(int n_updates)
{
    const form plain = { .positions = FIRST_OR_NOT, .n_layers = 2, .heads = 1, .D = 16 };
    enum { NORMED = 2 };
    form forms[N_FORMS] = { plain, plain, plain, plain };
    forms[1].log_n = forms[3].log_n = true;
    forms[NORMED].norm_eps = forms[3].norm_eps = 1e-5;
    static const char *const names[] = { "plain", "log n", "LayerNorm", "log n, LayerNorm" };
    static const int lengths[] = { 10, 20, 50, 100, 200, 500, 1000 };
    enum { N = sizeof lengths / sizeof *lengths };
    const course c = { "first", 10, n_updates > 0 ? n_updates : 300, 3e-3 };
    double percent[MAX_LENGTHS][N_FORMS];
    learn(&c, forms, names, N, lengths, percent);
    bool as_said = percent[N - 1][NORMED] < 60;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N_FORMS; k++)
            as_said = as_said && ((k == NORMED && i == N - 1) || percent[i][k] == 100);
    return as_said ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    expect_ok(weft_threads_set(1));
    const char *what = argc > 1 ? argv[1] : "";
    const int n_updates = argc > 2 ? atoi(argv[2]) : 0;
    if (strcmp(what, "flip") == 0) return flip();
    if (strcmp(what, "gradient") == 0) return gradient();
    if (strcmp(what, "parity") == 0) return parity(n_updates);
    if (strcmp(what, "first") == 0) return first(n_updates);
    fprintf(stderr, "usage: limits flip | gradient | parity [UPDATES] | first [UPDATES]\n");
    return 2;
}
