/* test_chunks.c - precision: float - chunks with overlap: every token covered, none in vain, and the
 * rules that merge them; and the log-probabilities of a text read in chunks. */
#include "check_main.h"

#include "data/data.h"
#include "train/decode.h"

#include <math.h>
#include <string.h>

/* Every small text, length and overlap. */
START_TEST(chunks_cover_a_text_once_and_end_with_it)
{
    for (int64_t length = 1; length <= 9; length++)
        for (int64_t overlap = 0; overlap < length; overlap++)
            for (int64_t n = 0; n <= 60; n++) {
                const weft_chunks c = { n, length, overlap };
                ck_assert_int_eq(weft_chunks_check(&c), WEFT_OK);
                const int64_t count = weft_chunks_count(&c);
                int64_t covered = 0, rows = 0;
                ck_assert_int_eq(count == 0, n == 0);
                if (n > 0 && n <= length) ck_assert_int_eq(count, 1);
                for (int64_t i = 0; i < count; i++) {
                    const weft_chunk at = weft_chunks_get(&c, i);
                    const int64_t before = i > 0 ? weft_chunks_get(&c, i - 1).to : 0;
                    ck_assert(at.from < at.to && at.to - at.from <= length);
                    ck_assert(at.from <= before &&
                              at.to > before); /* no gap, none inside another */
                    if (i > 0) ck_assert_int_eq(before - at.from, overlap);
                    ck_assert_int_eq(at.to == n, i == count - 1);
                    ck_assert_int_eq(weft_chunks_row(&c, i), rows);
                    covered += at.to - before;
                    rows += at.to - at.from;
                }
                ck_assert_int_eq(covered, n); /* all without the overlaps is the text */
                ck_assert_int_eq(weft_chunks_row(&c, count), rows);
            }
    /* the example of a loop that goes on too long: no third chunk 448 .. 512 */
    ck_assert_int_eq(weft_chunks_count(&(weft_chunks){ 512, 512, 64 }), 1);
    ck_assert_int_eq(weft_chunks_count(&(weft_chunks){ 960, 512, 64 }), 2);
    ck_assert_int_eq(weft_chunks_count(&(weft_chunks){ 961, 512, 64 }), 3);
}
END_TEST

/* Rows that say which chunk and token they are of. */
static void label(const weft_chunks *c, double rows[])
{
    for (int64_t i = 0; i < weft_chunks_count(c); i++) {
        const weft_chunk at = weft_chunks_get(c, i);
        for (int64_t p = at.from; p < at.to; p++) {
            double *row = rows + 2 * (weft_chunks_row(c, i) + p - at.from);
            row[0] = (double)i;
            row[1] = (double)p;
        }
    }
}

START_TEST(merging_follows_its_rule)
{
    enum { N = 23, MOST = 200 };
    const weft_chunks c = { N, 8, 5 }; /* a token in up to three chunks */
    double rows[2 * MOST], merged[2 * N];
    label(&c, rows);
    for (int merge = WEFT_MERGE_BEFORE; merge <= WEFT_MERGE_MEAN; merge++) {
        weft_chunks_merge(&c, (weft_chunk_merge)merge, 2, rows, merged);
        for (int64_t p = 0; p < N; p++) {
            double sum = 0, best = -1, chosen = -1;
            int n = 0;
            for (int64_t i = 0; i < weft_chunks_count(&c); i++) {
                const weft_chunk at = weft_chunks_get(&c, i);
                if (p < at.from || p >= at.to) continue;
                const double before = at.from == 0 ? N : (double)(p - at.from);
                const double after = at.to == N ? N : (double)(at.to - 1 - p);
                const double seen =
                    merge == WEFT_MERGE_BEFORE ? (double)(p - at.from) : fmin(before, after);
                if (seen > best) best = seen, chosen = (double)i;
                sum += (double)i;
                n++;
            }
            const double want = merge == WEFT_MERGE_MEAN ? sum / n : chosen;
            ck_assert_double_le(fabs(merged[2 * p] - want), 1e-12);
            ck_assert_double_le(fabs(merged[2 * p + 1] - (double)p), 1e-12);
        }
    }
}
END_TEST

/* With room for what is put around them, chunks are those of a smaller length. */
START_TEST(room_is_left_where_it_is_reserved)
{
    const weft_chunks c = { 1200, 512, 64, .reserved = 2 }, same = { 1200, 510, 64 };
    double rows[1500], merged[2][1200];
    ck_assert_int_eq(weft_chunks_check(&c), WEFT_OK);
    const int64_t count = weft_chunks_count(&c);
    ck_assert_int_eq(count, weft_chunks_count(&same));
    for (int64_t i = 0; i < count; i++) {
        const weft_chunk at = weft_chunks_get(&c, i), other = weft_chunks_get(&same, i);
        ck_assert(at.from == other.from && at.to == other.to && at.to - at.from + 2 <= 512);
        ck_assert_int_eq(weft_chunks_row(&c, i), weft_chunks_row(&same, i));
    }
    ck_assert_int_eq(weft_chunks_get(&c, 0).to, 510);
    for (int64_t i = 0; i < weft_chunks_row(&c, count); i++) rows[i] = (double)(i * i % 97);
    weft_chunks_merge(&c, WEFT_MERGE_AROUND, 1, rows, merged[0]);
    weft_chunks_merge(&same, WEFT_MERGE_AROUND, 1, rows, merged[1]);
    ck_assert_mem_eq(merged[0], merged[1], sizeof merged[0]);
    ck_assert_int_eq(weft_chunks_check(&(weft_chunks){ 5, 4, 2, .reserved = 2 }), WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_chunks_check(&(weft_chunks){ 5, 4, 0, .reserved = -1 }), WEFT_ERR_RANGE);
}
END_TEST

START_TEST(impossible_chunks_get_a_sentence)
{
    ck_assert_int_eq(weft_chunks_check(&(weft_chunks){ 5, 4, 4 }), WEFT_ERR_RANGE);
    ck_assert_str_eq(weft_message(),
                     "chunks of 4 tokens with an overlap of 4: it must be below the length");
    ck_assert_int_eq(weft_chunks_check(&(weft_chunks){ 5, 4, -1 }), WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_chunks_check(&(weft_chunks){ 5, 0, 0 }), WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_chunks_check(&(weft_chunks){ -1, 4, 0 }), WEFT_ERR_RANGE);
}
END_TEST

/* ---- a text read in chunks ------------------------------------------------------------------------ */

enum { V = 7, N_TEXT = 30 };
static weft_transformer net;

static weft_params *build(bool decoder_only)
{
    const weft_transformer_config config = {
        .decoder_only = decoder_only,
        .layer = { .D = 16, .F = 16, .heads = 2, .init = { WEFT_INIT_XAVIER_UNIFORM, 1.5, 0 } },
        .encoder_layers = 1,
        .decoder_layers = 2,
        .source_V = V,
        .target_V = V,
        .position = WEFT_POSITION_LEARNED,
        .max_positions = 12,
        .embedding_std = 1,
    };
    weft_params *params = weft_params_new(5);
    ck_assert_int_eq(weft_transformer_init(&net, params, &config), WEFT_OK);
    return params;
}

/* log p of ids[to] after ids[from .. to - 1], read by themselves. */
static double log_p_after(weft_tape *tape, const int32_t *ids, int64_t from, int64_t to)
{
    const int64_t n = to - from;
    int32_t offsets[] = { 0, (int32_t)n }, rows[2 * N_TEXT];
    for (int32_t p = 0; p < n; p++) rows[2 * p] = 0, rows[2 * p + 1] = p;
    const weft_tokens read = { 1, n, ids + from, offsets, rows };
    weft_tape_reset(tape);
    const weft_var x = weft_transformer_decode(&net, tape, &read, WEFT_NIL, NULL);
    const weft_var y = weft_log_softmax(tape, weft_transformer_logits(&net, tape, x));
    return (double)weft_value(tape, y).real[(n - 1) * V + ids[to]];
}

/* Each token once, after as much text as the chunks allow. */
START_TEST(each_token_has_the_longest_context)
{
    weft_params *params = build(true);
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    int32_t ids[N_TEXT];
    double log_p[N_TEXT - 1];
    for (int i = 0; i < N_TEXT; i++) ids[i] = (i * i + 3 * i) % V;
    for (int64_t overlap = 0; overlap < 12; overlap += 5) {
        ck_assert_int_eq(weft_logprob_text(&(weft_translator){ &net, tape }, ids, N_TEXT, 12,
                                           overlap, WEFT_MERGE_BEFORE, log_p),
                         WEFT_OK);
        for (int64_t p = 0; p < N_TEXT - 1;
             p++) { /* predicts p + 1 in the first chunk that has p */
            const int64_t i = p < 12 ? 0 : (p - 12) / (12 - overlap) + 1;
            const double want = log_p_after(tape, ids, i * (12 - overlap), p + 1);
            ck_assert_msg(fabs(log_p[p] - want) < 1e-4, "token %d: %g, not %g", (int)p + 1,
                          log_p[p], want);
            ck_assert(overlap == 0 || p < overlap || p + 1 - i * (12 - overlap) > overlap);
        }
    }
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

START_TEST(texts_that_cannot_be_read)
{
    weft_params *params = build(true);
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    const weft_translator of = { &net, tape };
    const int32_t ids[] = { 1, 2, 3 };
    double log_p[2];
    ck_assert_int_eq(weft_logprob_text(&of, ids, 3, 13, 0, WEFT_MERGE_BEFORE, log_p),
                     WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), "chunks of 13 tokens: the model's positions end at 12");
    ck_assert_int_eq(weft_logprob_text(&of, ids, 3, 4, 4, WEFT_MERGE_BEFORE, log_p),
                     WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_logprob_text(&of, ids, 1, 4, 0, WEFT_MERGE_BEFORE, log_p),
                     WEFT_ERR_INPUT);
    weft_params_free(params);
    params = build(false);
    ck_assert_int_eq(weft_logprob_text(&of, ids, 3, 4, 0, WEFT_MERGE_BEFORE, log_p),
                     WEFT_ERR_STATE);
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chunks");
    TCase *cutting = tcase_create("cutting");
    tcase_add_test(cutting, chunks_cover_a_text_once_and_end_with_it);
    tcase_add_test(cutting, merging_follows_its_rule);
    tcase_add_test(cutting, room_is_left_where_it_is_reserved);
    tcase_add_test(cutting, impossible_chunks_get_a_sentence);
    suite_add_tcase(suite, cutting);
    TCase *text = tcase_create("text");
    tcase_add_test(text, each_token_has_the_longest_context);
    tcase_add_test(text, texts_that_cannot_be_read);
    suite_add_tcase(suite, text);
    return run_suite(suite);
}
