/* test_heads.c - statistics of attention heads, unknown words, samples in the log. */
#include "check_main.h"

#include "temp_dir.h"
#include "train/heads.h"
#include "train/loop_internal.h"
#include "train/maps.h"

#include <jansson.h>
#include <math.h>

#define OK(call) ck_assert_msg((call) == WEFT_OK, "%s: %s", #call, weft_message())

/* ---- one attention ------------------------------------------------------------------------------ */

enum { H = 2, K = 64, N = 20 };

static weft_var record(weft_tape *t, double scale, weft_var in[3])
{
    const weft_var offsets = weft_constant_int(t, WEFT_DIMS(3), (int32_t[]){ 0, 12, N });
    weft_tape_seed(t, 5, 0);
    for (int i = 0; i < 3; i++) in[i] = weft_sample_normal(t, WEFT_DIMS(N, i ? K : H * K));
    return weft_attention(
        t, in[0], in[1], in[2],
        &(weft_attention_spec){
            .heads = H, .kv_heads = 1, .causal = true, .scale = scale, .q_offsets = offsets });
}

START_TEST(a_forgotten_scale_shows)
{
    weft_tape *t = weft_tape_new(WEFT_RETAIN);
    weft_head_stats good[H], bad[H];
    weft_var in[3];
    weft_var y = record(t, 0, in);
    OK(weft_head_weights(t, y, H, good));
    y = record(t, 1, in);
    OK(weft_head_weights(t, y, H, bad));
    for (int h = 0; h < H; h++) {
        ck_assert_msg(good[h].saturated < 0.05 && good[h].entropy > 1, "%g %g", good[h].saturated,
                      good[h].entropy);
        ck_assert_msg(bad[h].saturated > 0.25 && bad[h].entropy < 0.6 && bad[h].largest > 0.8,
                      "%g %g %g", bad[h].saturated, bad[h].entropy, bad[h].largest);
    }
    weft_tape_free(t);
}
END_TEST

/* By hand, from the weights; the first query of a sentence, which sees itself alone, does not count. */
START_TEST(numbers_are_those_of_the_weights)
{
    weft_tape *t = weft_tape_new(WEFT_RETAIN);
    weft_head_stats stats[H];
    weft_var in[3];
    const weft_var y = record(t, 0.5, in);
    OK(weft_head_weights(t, y, H, stats));
    const weft_tensor w = weft_value(t, weft_attention_weights(t, y, H));
    for (int h = 0; h < H; h++) {
        double entropy = 0, largest = 0, saturated = 0;
        for (int i = 0; i < N; i++) {
            double most = 0;
            if (i == 0 || i == 12) continue;
            for (int j = 0; j < 12; j++) {
                const double x = (double)w.real[(i * H + h) * 12 + j];
                if (x > 0) entropy -= x * log(x) / (N - 2);
                most = fmax(most, x);
            }
            largest += most / (N - 2);
            saturated += (most > 0.99) / (double)(N - 2);
        }
        ck_assert_double_eq_tol(stats[h].entropy, entropy, 1e-12);
        ck_assert_double_eq_tol(stats[h].largest, largest, 1e-12);
        ck_assert_double_eq_tol(stats[h].saturated, saturated, 1e-12);
    }
    OK(weft_backward(t, weft_sum(t, weft_mul(t, y, y), WEFT_ALL, false), NULL));
    OK(weft_head_gradients(t, y, H, stats));
    double sum = 0, both = 0;
    const weft_tensor dq = weft_gradient(t, in[0]), dk = weft_gradient(t, in[1]);
    for (int i = 0; i < N * H * K; i++) sum += (double)dq.real[i] * (double)dq.real[i];
    for (int h = 0; h < H; h++) both = hypot(both, stats[h].gradient[0]);
    ck_assert_double_eq_tol(both, sqrt(sum), 1e-9 * both);
    sum = 0;
    for (int i = 0; i < N * K; i++) sum += (double)dk.real[i] * (double)dk.real[i];
    ck_assert_double_eq_tol(stats[0].gradient[1], sqrt(sum), 1e-9 * sqrt(sum)); /* shared */
    ck_assert(stats[0].gradient[1] == stats[1].gradient[1] && stats[1].gradient[2] > 0);
    ck_assert_int_eq(weft_head_gradients(t, y, 3, stats), WEFT_ERR_RANGE);
    ck_assert_int_ne(weft_head_weights(t, in[0], H, stats), WEFT_OK);
    weft_tape_free(t);
}
END_TEST

/* ---- in training -------------------------------------------------------------------------------- */

static weft_config tiny(const char *more)
{
    weft_config config;
    weft_config_init(&config);
    OK(weft_config_parse(&config,
                         "[data]\ntask = copy\ntrain_size = 60\nvalid_size = 10\n"
                         "[model]\nd_model = 32\nffn = 64\nheads = 2\nencoder_layers = 1\n"
                         "decoder_layers = 2\nattention_dropout = 0.2\n[train]\nmax_updates = 4\n"
                         "validate_every = 2\nbatch_tokens = 100\nmax_decode_length = 22\n"
                         "[optim]\nwarmup = 5\n",
                         "tiny"));
    OK(weft_config_parse(&config, more, "more"));
    OK(weft_config_check(&config));
    OK(weft_threads_set(1));
    return config;
}

/* Train in the present folder; the parameters' hash of sorts, and the log's lines by their event. */
static double train(const weft_config *config, int n[3])
{
    static const char *const events[3] = { "head", "sample", "validation" };
    weft_trainer *trainer;
    weft_train_end end;
    FILE *log = fopen("log.jsonl", "w+");
    OK(weft_trainer_new(config, &trainer));
    const weft_train_run run = { .dir = ".", .log = log };
    OK(weft_train(trainer, &run, &end));
    const weft_params *params = weft_trainer_model(trainer)->params;
    double sum = 0;
    for (int i = 0; i < weft_params_count(params); i++) {
        const weft_tensor p = weft_params_value(params, i);
        for (int64_t k = 0; k < weft_size(&p); k++) sum += (double)p.real[k] * cos((double)k);
    }
    weft_trainer_free(trainer);
    char line[4096];
    rewind(log);
    n[0] = n[1] = n[2] = 0;
    while (fgets(line, sizeof line, log)) {
        json_t *json = json_loads(line, 0, NULL);
        ck_assert_msg(json_is_object(json), "%s", line);
        const char *event = json_string_value(json_object_get(json, "event"));
        for (int i = 0; i < 3; i++) n[i] += strcmp(event, events[i]) == 0;
        if (strcmp(event, "head") == 0) {
            const double entropy = json_real_value(json_object_get(json, "entropy"));
            ck_assert_msg(entropy > 0 && entropy < log2(100), "%s", line);
            ck_assert_msg(json_real_value(json_object_get(json, "gradient_q")) > 0, "%s", line);
            ck_assert_ptr_nonnull(strstr(line, "coder.layers."));
        }
        if (strcmp(event, "sample") == 0)
            ck_assert_ptr_nonnull(json_string_value(json_object_get(json, "hypothesis")));
        json_decref(json);
    }
    fclose(log);
    return sum;
}

START_TEST(heads_and_samples_in_the_log)
{
    int n[3];
    const weft_config plain = tiny(""), looking = tiny("[train]\nsamples = 3\nhead_stats = true\n"),
                      all = tiny("[train]\nsamples = 1000\n");
    const double before = train(&plain, n);
    ck_assert(n[0] == 0 && n[1] == 0 && n[2] == 2);
    const double after = train(&looking, n);
    /* five attentions of two heads, at the start and twice; three samples each time */
    ck_assert_msg(n[0] == 5 * 2 * 3 && n[1] == 3 * 2 && n[2] == 2, "%d %d %d", n[0], n[1], n[2]);
    ck_assert(before == after); /* looking changes nothing */
    (void)train(&all, n);
    ck_assert_int_eq(n[1], 10 * 2);
}
END_TEST

static void count_head(const char *layer, int head, const weft_head_stats *stats, void *user)
{
    (void)layer;
    (void)head;
    (void)stats;
    ++*(int *)user;
}

START_TEST(heads_without_memory)
{
    const weft_config config = tiny("");
    weft_trainer *trainer;
    weft_batch batch;
    OK(weft_trainer_new(&config, &trainer));
    OK(weft_batches_get(trainer->valid_batches, 0, &batch));
    weft_status status = WEFT_ERR_MEMORY;
    int n = 0;
    for (int64_t i = 1; status != WEFT_OK; i++) {
        n = 0;
        weft_alloc_fail_at(i, false);
        status = weft_heads_measure(trainer->model, trainer->valid_tape, &batch, 1, count_head, &n);
        weft_alloc_fail_at(0, false);
        ck_assert_msg(status == WEFT_OK || status == WEFT_ERR_MEMORY, "%s", weft_message());
    }
    ck_assert_int_eq(n, 10);
    weft_trainer_free(trainer);
}
END_TEST

/* ---- unknown words ------------------------------------------------------------------------------ */

START_TEST(unknown_words_come_from_the_source)
{
    const weft_config config = tiny("[data]\ntask = phrases\njoint_vocab = false\n"
                                    "[model]\ntie = target\n");
    weft_trainer *trainer;
    OK(weft_trainer_new(&config, &trainer));
    const weft_model *model = weft_trainer_model(trainer);
    const char *source = "we see the Zyx house and Qrs";
    int32_t *ids;
    int64_t n_ids;
    OK(weft_vocab_encode(model->source_vocab, source, &ids, &n_ids));
    ck_assert_int_eq(n_ids, 7);
    ck_assert_int_eq(ids[3], WEFT_UNK);
    const int32_t said[] = { 5, WEFT_UNK, 6, WEFT_UNK };
    char *text, expected[512];

    /* By hand: the largest weight, </s> left out, of the last layer, meant over the heads. */
    weft_maps maps = { 0 };
    OK(weft_maps_make(&model->transformer, trainer->valid_tape, ids, n_ids, said, 4, &maps));
    const char *words[] = { "we", "see", "the", "Zyx", "house", "and", "Qrs" };
    for (int head = -1; head < 2; head++)
        for (int layer = -1; layer < 2; layer++) {
            const int l = layer < 0 ? 1 : layer, from = head < 0 ? 0 : head,
                      to = head < 0 ? 2 : head + 1;
            int best[4] = { 0 };
            for (int t = 1; t < 4; t += 2) {
                double most = 0;
                for (int s = 0; s < 7; s++) {
                    double sum = 0;
                    for (int h = from; h < to; h++)
                        sum += (double)maps.weights[WEFT_MAP_CROSS][((l * 2 + h) * 5 + t) * 8 + s];
                    if (sum > most) {
                        most = sum;
                        best[t] = s;
                    }
                }
            }
            const weft_map_choice choice = { layer, head };
            OK(weft_maps_known(model, trainer->valid_tape, source, ids, n_ids, said, 4, &choice,
                               &text));
            snprintf(expected, sizeof expected, "%s %s %s %s",
                     weft_vocab_token(model->target_vocab, 5), words[best[1]],
                     weft_vocab_token(model->target_vocab, 6), words[best[3]]);
            ck_assert_str_eq(text, expected);
            weft_free(text);
        }
    const weft_map_choice beyond = { 2, -1 }, all = { -1, -1 };
    ck_assert_int_eq(
        weft_maps_known(model, trainer->valid_tape, source, ids, n_ids, said, 4, &beyond, &text),
        WEFT_ERR_INPUT);
    ck_assert_int_eq(
        weft_maps_known(model, trainer->valid_tape, "we see", ids, n_ids, said, 4, &all, &text),
        WEFT_ERR_STATE);
    ck_assert_ptr_null(text);
    weft_maps_free(&maps);
    weft_free(ids);
    weft_trainer_free(trainer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heads");
    TCase *tc = tcase_create("one");
    tcase_add_test(tc, a_forgotten_scale_shows);
    tcase_add_test(tc, numbers_are_those_of_the_weights);
    suite_add_tcase(suite, tc);
    tc = tcase_create("training");
    tcase_add_checked_fixture(tc, temp_dir_enter, temp_dir_leave);
    tcase_add_test(tc, heads_and_samples_in_the_log);
    tcase_add_test(tc, heads_without_memory);
    suite_add_tcase(suite, tc);
    tc = tcase_create("unknown");
    tcase_add_test(tc, unknown_words_come_from_the_source);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
