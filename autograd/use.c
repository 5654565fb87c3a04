/* use.c - what has its memory elsewhere: parameters, each one value until the reset, or what was bound
 * to it; constants that the caller keeps. */
#include "autograd/tape_internal.h"

#include <string.h>

/* The place where this tape notes which value stands for `param`; NULL after a failure. */
static uint32_t *binding_of(weft_tape *tape, weft_param param, const char *what)
{
    if (!weft_tape_ready(tape, what)) return NULL;
    if (weft_param_is_none(param) || param.index < 0 ||
        param.index >= weft_params_count(param.params)) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "%s: not a parameter (was its layer initialised?)",
                       what);
        return NULL;
    }
    int i = 0;
    while (i < tape->n_bindings && tape->bindings[i].params != param.params) i++;
    if (i == MAX_BINDINGS) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "%s: parameters of more than %d models on one tape",
                       what, MAX_BINDINGS);
        return NULL;
    }
    binding *b = &tape->bindings[i];
    const int count = weft_params_count(param.params);
    if (b->capacity < count) {
        uint32_t *more = weft_realloc(b->value, (size_t)count, sizeof *more);
        if (!more) {
            weft_tape_fail(tape, WEFT_ERR_MEMORY, "%s", weft_message());
            return NULL;
        }
        memset(more + b->capacity, 0, (size_t)(count - b->capacity) * sizeof *more);
        b->value = more;
        b->capacity = count;
    }
    if (i == tape->n_bindings) {
        b->params = param.params;
        b->version = weft_params_version(param.params);
        tape->n_bindings++;
    }
    return &b->value[param.index];
}

weft_var weft_use(weft_tape *tape, weft_param param)
{
    uint32_t *place = binding_of(tape, param, "weft_use");
    if (!place) return WEFT_NIL;
    if (*place) return weft_var_of(tape, *place - 1);

    weft_tensor shape = weft_params_value(param.params, param.index);
    if (!shape.data && !(tape->flags & WEFT_DRY)) {
        weft_tape_fail(
            tape, WEFT_ERR_STATE,
            "weft_use: the parameters are dry, they have no values: only a tape made with "
            "WEFT_DRY can use them");
        return WEFT_NIL;
    }
    value *v = weft_tape_push_value(tape, &shape);
    if (!v) return WEFT_NIL;
    v->param = param;
    v->wants = !(tape->flags & WEFT_NO_GRAD);
    v->keep = true;
    v->covered.full = true; /* gradients of parameters are added to their block */
    v->name = weft_params_name(param.params, param.index);
    *place = tape->n_values;
    return weft_var_of(tape, tape->n_values - 1);
}

weft_status weft_bind(weft_tape *tape, weft_param param, weft_var x)
{
    uint32_t i;
    uint32_t *place = binding_of(tape, param, "weft_bind");
    if (!place || !weft_tape_find(tape, x, "weft_bind", &i)) return tape->status;
    const char *name = weft_params_name(param.params, param.index);
    const weft_tensor want = weft_params_value(param.params, param.index);
    if (*place)
        return weft_tape_fail(tape, WEFT_ERR_STATE,
                              "weft_bind: %s was already used or bound on this tape", name);
    if (tape->values[i].t.dtype != WEFT_REAL || !weft_same_shape(&tape->values[i].t, &want)) {
        char a[WEFT_SHAPE_TEXT], b[WEFT_SHAPE_TEXT];
        return weft_tape_fail(tape, WEFT_ERR_SHAPE, "weft_bind: %s is %s, the value is %s", name,
                              weft_shape_text(&want, a), weft_shape_text(&tape->values[i].t, b));
    }
    *place = i + 1;
    return WEFT_OK;
}

weft_var weft_borrow(weft_tape *tape, int rank, const int64_t dim[], const weft_real *data)
{
    weft_tensor shape;
    if (!weft_tape_ready(tape, "borrow")) return WEFT_NIL;
    const weft_status status = weft_tensor_init(&shape, WEFT_REAL, rank, dim);
    if (status != WEFT_OK) {
        weft_tape_fail(tape, status, "borrow: %s", weft_message());
        return WEFT_NIL;
    }
    if (!data && weft_size(&shape) > 0 && !(tape->flags & WEFT_DRY)) {
        weft_tape_fail(tape, WEFT_ERR_STATE,
                       "borrow: no data (NULL is allowed on a dry tape only)");
        return WEFT_NIL;
    }
    value *v = weft_tape_push_value(tape, &shape);
    if (!v) return WEFT_NIL;
    v->lent = tape->flags & WEFT_DRY ? NULL : data;
    v->keep = true;
    return weft_var_of(tape, tape->n_values - 1);
}
