/* certify_trace.c - where two runs of a model part: each operation's rows are hashed as it runs. */
#include "train/certify_internal.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static bool make_room(weft_trace *t, int64_t rows)
{
    if (t->n == t->n_room) {
        const int room = t->n_room ? 2 * t->n_room : 128;
        weft_trace_step *steps = weft_realloc(t->steps, (size_t)room, sizeof *steps);
        if (!steps) return false;
        t->steps = steps;
        t->n_room = room;
    }
    if (t->n_hashes + rows > t->hashes_room) {
        const int64_t room = 2 * (t->n_hashes + rows);
        uint64_t *hashes = weft_realloc(t->hashes, (size_t)room, sizeof *hashes);
        if (!hashes) return false;
        t->hashes = hashes;
        t->hashes_room = room;
    }
    return true;
}

static void keep(weft_trace *t, const weft_tensor *y, int64_t R)
{
    const int64_t C = weft_cols(y);
    t->copy = weft_alloc((size_t)(R * C), sizeof *t->copy);
    if (!t->copy) return;
    for (int64_t r = 0; r < R; r++)
        memcpy(t->copy + r * C, y->real + r * y->ld, (size_t)C * sizeof *t->copy);
}

static void watch(void *context, const weft_event *event)
{
    weft_trace *t = context;
    const weft_tensor *y = &event->call->out[0];
    if (!event->done || event->backward || y->dtype != WEFT_REAL || y->rank < 2) return;
    const int64_t R = weft_rows(y), C = weft_cols(y);
    if ((R != t->N[0] && R != t->N[1]) || C == 0) return;
    if (t->no_memory || !make_room(t, R)) {
        t->no_memory = true;
        return;
    }
    weft_trace_step *step = &t->steps[t->n++];
    *step = (weft_trace_step){ .side = R == t->N[1], .C = C, .hash = t->n_hashes };
    snprintf(step->op, sizeof step->op, "%s", event->call->op->name);
    snprintf(step->scope, sizeof step->scope, "%s", event->scope ? event->scope : "");
    for (int64_t r = 0; r < R; r++)
        t->hashes[t->n_hashes++] = XXH3_64bits(y->real + r * y->ld, (size_t)C * sizeof(weft_real));
    if (t->n - 1 == t->kept) keep(t, y, R);
}

weft_status weft_trace_run(const weft_subject *s, const weft_certify_spec *spec, weft_tape *tape,
                           const weft_probe *p, int kept, weft_trace *t)
{
    *t = (weft_trace){ .N = { p->N[0], p->N[1] }, .kept = kept };
    weft_tape_reset(tape);
    weft_tape_seed(tape, spec->seed, 1);
    weft_tape_watch(tape, watch, t);
    const weft_var logits = s->logits(s->model, tape, s->hidden(s->model, tape, &p->batch));
    weft_tape_watch(tape, NULL, NULL);
    (void)logits;
    if (weft_tape_status(tape) != WEFT_OK) return weft_tape_status(tape);
    return t->no_memory || (kept >= 0 && !t->copy) ? WEFT_ERR_MEMORY : WEFT_OK;
}

void weft_trace_free(weft_trace *t)
{
    weft_free(t->steps);
    weft_free(t->hashes);
    weft_free(t->copy);
    *t = (weft_trace){ .kept = -1 };
}

int weft_trace_first(const weft_trace *a, const weft_trace *b, const weft_span *span, int64_t *row)
{
    for (int i = 0; i < a->n && i < b->n; i++) {
        const weft_trace_step *x = &a->steps[i], *y = &b->steps[i];
        if (strcmp(x->op, y->op) != 0 || x->C != y->C || x->side != y->side) return -1;
        for (int64_t r = 0; r < span->n[x->side]; r++)
            if (a->hashes[x->hash + span->a[x->side] + r] !=
                b->hashes[y->hash + span->b[x->side] + r]) {
                *row = r;
                return i;
            }
    }
    return -1;
}

/* The first column in which the kept rows differ. */
static int64_t column_of(const weft_trace *a, const weft_trace *b, const weft_span *span,
                         int64_t row)
{
    const weft_trace_step *step = &a->steps[a->kept];
    const weft_real *x = a->copy + (span->a[step->side] + row) * step->C,
                    *y = b->copy + (span->b[step->side] + row) * step->C;
    int64_t c = 0;
    while (c < step->C && weft_same_bits(x + c, y + c, sizeof *x)) c++;
    return c;
}

weft_status weft_trace_name(const weft_subject *s, const weft_certify_spec *spec,
                            const weft_probe *a, const weft_probe *b, const weft_span *span,
                            char place[WEFT_PLACE], int64_t *row)
{
    weft_trace x = { .kept = -1 }, y = { .kept = -1 };
    place[0] = '\0';
    weft_tape *tape = weft_tape_new(0);
    if (!tape) return WEFT_ERR_MEMORY;
    weft_status status = weft_trace_run(s, spec, tape, a, -1, &x);
    if (status == WEFT_OK) status = weft_trace_run(s, spec, tape, b, -1, &y);
    const int first = status == WEFT_OK ? weft_trace_first(&x, &y, span, row) : -1;
    if (first >= 0) {
        const weft_trace_step step = x.steps[first];
        const int n = snprintf(place, WEFT_PLACE, "%s%s%s%s", step.scope, *step.scope ? " (" : "",
                               step.op, *step.scope ? ")" : "");
        weft_trace_free(&x);
        weft_trace_free(&y);
        status = weft_trace_run(s, spec, tape, a, first, &x);
        if (status == WEFT_OK) status = weft_trace_run(s, spec, tape, b, first, &y);
        const bool has_heads = s->heads > 0 && step.C % s->heads == 0 &&
                               strcmp(step.op, "linear") != 0 && strstr(step.scope, "attn");
        if (status == WEFT_OK && has_heads && n > 0 && n < WEFT_PLACE)
            snprintf(place + n, (size_t)(WEFT_PLACE - n), ", head %lld",
                     (long long)(column_of(&x, &y, span, *row) / (step.C / s->heads)));
    }
    weft_trace_free(&x);
    weft_trace_free(&y);
    weft_tape_free(tape);
    return status;
}
