/* 04_copy_task.c - needs: data - a Transformer trained and used through the C API, in twenty
 * seconds.
 *
 *     cc 04_copy_task.c $(pkg-config --cflags --libs weft) -lm -o 04_copy_task
 *
 * The task: say again a string of 1 to 20 letters. The strings are drawn by
 * weft (data/tasks.h), and those asked for at the end are in no training
 * stream. One step of training is: next batch, reset the tape, record the loss,
 * backward, one sweep of Adam at the rate of the paper's schedule. The program
 * fails if fewer than 97 % of the held-out strings come out exactly right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

enum { N_TRAIN = 20000, N_HELD_OUT = 500, BATCH_TOKENS = 512, N_UPDATES = 1500 };
static const double least_exact = 97; /* % */

/* Examples may end at the first failure; a program of yours would rather hand
 * the status on. */
static void expect_ok(weft_status status)
{
    if (status == WEFT_OK) return;
    fprintf(stderr, "%s\n", weft_message());
    exit(EXIT_FAILURE);
}

static void *expect_made(void *object)
{
    if (!object) expect_ok(WEFT_ERR_MEMORY);
    return object;
}

static weft_corpus *make_corpus(const weft_task *task, int64_t n, bool held_out)
{
    weft_corpus *corpus = expect_made(weft_corpus_new());
    const weft_task_stream stream = { .task = task, .seed = 1, .held_out = held_out };
    expect_ok(weft_task_corpus(&stream, 0, n, corpus));
    return corpus;
}

/* The letters of the training strings, one vocabulary for both sides. */
static weft_vocab *make_vocab(const weft_task *task, const weft_corpus *corpus)
{
    weft_vocab *vocab;
    expect_ok(weft_vocab_new(&(weft_vocab_spec){ .tokens = task->tokens }, &vocab));
    expect_ok(weft_corpus_count(corpus, WEFT_SOURCE, vocab));
    expect_ok(weft_corpus_count(corpus, WEFT_TARGET, vocab));
    expect_ok(weft_vocab_build(vocab));
    return vocab;
}

static void train(const weft_transformer *model, weft_params *params, weft_batches *batches)
{
    const weft_schedule schedule = { .lr = 0.7, .width = model->config.layer.D, .warmup = 200 };
    weft_optimiser *adam =
        expect_made(weft_optimiser_new(params, &(weft_optimiser_spec){ .kind = WEFT_ADAM }));
    weft_tape *tape = expect_made(weft_tape_new(0));
    for (int64_t update = 1; update <= N_UPDATES; update++) {
        weft_batch batch;
        weft_batches_next(batches, &batch);
        weft_tape_reset(tape);
        weft_tape_seed(tape, 1, (uint64_t)update); /* of dropout */
        const weft_var loss = weft_transformer_loss(model, tape, &batch, NULL);
        expect_ok(weft_backward(tape, loss, NULL));
        /* The loss is a sum over tokens: divide by their number. */
        double norm;
        expect_ok(weft_optimiser_step(adam, params, weft_schedule_rate(&schedule, update),
                                      1.0 / (double)batch.target.N, &norm));
        if (update % 250 == 0)
            printf("update %4lld   loss a token %.4f   gradient norm %.3f\n", (long long)update,
                   weft_item(tape, loss) / (double)batch.target.N, norm);
    }
    weft_tape_free(tape);
    weft_optimiser_free(adam);
}

/* How many strings of an encoded corpus are copied exactly. */
static int64_t count_exact(const weft_transformer *model, const weft_corpus *corpus,
                           const weft_vocab *vocab)
{
    weft_tape *tape = expect_made(weft_tape_new(WEFT_NO_GRAD));
    weft_hypotheses said = { 0 };
    expect_ok(weft_decode_corpus(&(weft_translator){ model, tape }, 1, corpus, BATCH_TOKENS,
                                 &(weft_decode_spec){ .beam = 1 }, &said));
    int64_t n_exact = 0;
    for (int64_t i = 0; i < said.B; i++) {
        char *text;
        expect_ok(weft_vocab_decode(vocab, said.ids + said.offsets[i],
                                    said.offsets[i + 1] - said.offsets[i], &text));
        const char *wanted = weft_corpus_text(corpus, WEFT_TARGET, i);
        const bool exact = strcmp(text, wanted) == 0;
        if (i < 3 || (!exact && i - n_exact < 3)) printf("  %-22s %s\n", wanted, text);
        n_exact += exact;
        weft_free(text);
    }
    weft_hypotheses_free(&said);
    weft_tape_free(tape);
    return n_exact;
}

int main(void)
{
    expect_ok(weft_threads_set(1)); /* so small a model gains nothing from more */
    const weft_task *task = weft_task_find("copy");
    weft_corpus *training = make_corpus(task, N_TRAIN, false);
    weft_corpus *held_out = make_corpus(task, N_HELD_OUT, true);
    weft_vocab *vocab = make_vocab(task, training);
    expect_ok(weft_corpus_encode(training, vocab, vocab));
    expect_ok(weft_corpus_encode(held_out, vocab, vocab));
    weft_batches *batches = NULL;
    expect_ok(weft_batches_new(
        training, &(weft_batches_spec){ .batch_tokens = BATCH_TOKENS, .seed = 1 }, &batches));

    /* The paper's model (zeros are its choices), but small. */
    weft_params *params = expect_made(weft_params_new(1));
    static weft_transformer model;
    expect_ok(weft_transformer_init(
        &model, params,
        &(weft_transformer_config){ .layer = { .D = 64,
                                               .F = 128,
                                               .heads = 4,
                                               .activation = WEFT_RELU,
                                               .init = { .kind = WEFT_INIT_XAVIER_UNIFORM } },
                                    .encoder_layers = 1,
                                    .decoder_layers = 1,
                                    .source_V = weft_vocab_size(vocab),
                                    .target_V = weft_vocab_size(vocab),
                                    .tie = WEFT_TIE_ALL }));
    printf("%lld parameters, %lld training strings\n", (long long)weft_params_size(params),
           (long long)weft_corpus_size(training));
    train(&model, params, batches);

    printf("held-out strings, and what the model says:\n");
    const int64_t n_exact = count_exact(&model, held_out, vocab);
    const double exact = 100.0 * (double)n_exact / N_HELD_OUT;
    printf("held-out exact match: %.1f %% (%lld of %d)\n", exact, (long long)n_exact, N_HELD_OUT);

    weft_batches_free(batches);
    weft_params_free(params);
    weft_vocab_free(vocab);
    weft_corpus_free(held_out);
    weft_corpus_free(training);
    return exact >= least_exact ? EXIT_SUCCESS : EXIT_FAILURE;
}
