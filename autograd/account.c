/* account.c - what lies in the arena when it is fullest.
 *
 * The arena is fullest from the block that raised its peak until something is given back; just before
 * that, all that the tape holds is entered, part by part of the model. Whatever belongs to no value
 * and no saved array is workspace of the operation that runs. */
#include "autograd/tape_internal.h"

#include <stdio.h>
#include <string.h>

void weft_account_free(weft_account *account)
{
    if (!account) return;
    weft_free(account->rows);
    weft_free(account);
}

/* Bytes of a block as the arena counts them. */
static size_t held(const block *b) { return (b->bytes + WEFT_ALIGN - 1) / WEFT_ALIGN * WEFT_ALIGN; }

/* The row of a scope, found from the last one back: neighbours mostly share it. */
static weft_account_row *row_of(weft_tape *tape, const char *scope)
{
    weft_account *a = tape->account;
    if (!scope) scope = "";
    for (int i = a->n_rows; i-- > 0;)
        if (strncmp(a->rows[i].scope, scope, sizeof a->rows[i].scope - 1) == 0) return &a->rows[i];
    weft_account_row *rows = weft_realloc(a->rows, (size_t)a->n_rows + 1, sizeof *rows);
    if (!rows) {
        weft_tape_fail(tape, WEFT_ERR_MEMORY, "%s", weft_message());
        return NULL;
    }
    a->rows = rows;
    rows[a->n_rows] = (weft_account_row){ .values = 0 };
    snprintf(rows[a->n_rows].scope, sizeof rows->scope, "%s", scope);
    return &rows[a->n_rows++];
}

void weft_tape_enter(weft_tape *tape)
{
    weft_account *a = tape->account;
    if (!a || !tape->fullest) return;
    tape->fullest = false;
    a->peak = weft_arena_peak_bytes(tape->arena);
    a->leaves = 0;
    a->n_rows = 0;
    size_t sum = 0;
    for (uint32_t i = 0; i < tape->n_values && i < tape->n_recorded; i++) {
        const value *v = &tape->values[i];
        const size_t data = held(&v->data), grad = held(&v->grad);
        sum += data + grad;
        if (v->node >= tape->n_nodes) { /* a leaf, or of a node that failed */
            a->leaves += data + grad;
            continue;
        }
        weft_account_row *row = row_of(tape, tape->nodes[v->node].scope);
        if (!row) return;
        row->values += data;
        row->gradients += grad;
    }
    for (uint32_t i = 0; i < tape->n_nodes; i++) {
        const node *n = &tape->nodes[i];
        weft_account_row *row = row_of(tape, n->scope);
        if (!row) return;
        for (int k = 0; k < WEFT_MAX_SAVED; k++) {
            row->saved += held(&n->saved_block[k]);
            sum += held(&n->saved_block[k]);
        }
    }
    const size_t used = weft_arena_used_bytes(tape->arena);
    a->workspace = used - sum;
    a->gaps = a->peak - used;
}

const weft_account *weft_tape_account(weft_tape *tape)
{
    weft_tape_enter(tape);
    return tape->account;
}
