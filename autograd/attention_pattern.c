/* attention_pattern.c - who sees whom: the one predicate behind kernel and definition of attention, asked
 * for a tile (may it be left out? is it seen whole?) and for a row of a tile.
 *
 * Sources: window, dilation and global tokens Beltagy et al. 2020, section 3; strided and fixed Child et
 * al. 2019, section 4.3, both index sets in one head; blocks Zaheer et al. 2020, section 2 and appendix D. */
#include "autograd/attention_internal.h"

#include <math.h>
#include <string.h>

enum { TILE = WEFT_ATTENTION_TILE };

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* Distances p - j that a window reaches: from -ahead to back. */
static void set_reach(weft_sight *s)
{
    const weft_pattern *p = s->pattern;
    const int64_t gap = p->kind == WEFT_PATTERN_DILATED ? p->gap : 1;
    s->back = s->ahead = INT64_MAX / 4;
    if (p->kind == WEFT_PATTERN_WINDOW || p->kind == WEFT_PATTERN_DILATED)
        s->back = s->ahead = gap * (p->causal ? p->window - 1 : p->window / 2);
    if (p->causal) s->ahead = 0;
}

static bool has_globals(const weft_sight *s) { return s->pattern->n_global > 0 || s->global; }

void weft_sight_init(weft_sight *s)
{
    const weft_pattern_kind kind = s->pattern->kind;
    set_reach(s);
    s->plain = (kind == WEFT_PATTERN_FULL || kind == WEFT_PATTERN_WINDOW) && !has_globals(s) &&
               !s->mask && s->pattern->rows == WEFT_ROWS_ALL;
}

/* ---- blocks ------------------------------------------------------------------------------------- */

int64_t weft_pattern_blocks(const weft_pattern *pattern, int64_t n)
{
    return (n + pattern->block - 1) / pattern->block;
}

/* How many global blocks begin and end a sentence of n_blocks. */
static int64_t leading(const weft_pattern *p)
{
    return p->causal ? p->global_blocks : (p->global_blocks + 1) / 2;
}
static int64_t trailing(const weft_pattern *p) { return p->global_blocks - leading(p); }

/* `wanted` of the candidates 0 .. n - 1, rising (Floyd's algorithm); returns how many there are. */
static int64_t choose(uint64_t key, uint64_t row, int64_t n, int64_t wanted, int32_t *chosen)
{
    const int64_t count = least(n, wanted);
    for (int64_t t = n - count, k = 0; t < n; t++, k++) {
        const uint32_t word = weft_random_word(key, row, 0, (uint32_t)k);
        int32_t u = (int32_t)((uint64_t)word * (uint64_t)(t + 1) >> 32);
        for (int64_t m = 0; m < k; m++)
            if (chosen[m] == u) u = (int32_t)t;
        int64_t at = k;
        for (; at > 0 && chosen[at - 1] > u; at--) chosen[at] = chosen[at - 1];
        chosen[at] = u;
    }
    return count;
}

void weft_pattern_draw(const weft_pattern *pattern, int64_t n_k, int H, int32_t *blocks)
{
    const int64_t n = weft_pattern_blocks(pattern, n_k), r = pattern->random_blocks,
                  half = pattern->window_blocks / 2;
    for (int64_t a = 0; a < n; a++) {
        /* candidates: from `low` to `high`, without the window */
        const int64_t low = leading(pattern), high = pattern->causal ? a : n - trailing(pattern);
        const int64_t w_from = least(most(a - half, low), most(high, low)),
                      w_end = most(least(a + half + 1, high), w_from);
        const int64_t n_candidates = most(high - low, 0) - (w_end - w_from);
        for (int64_t h = 0; h < H; h++) {
            int32_t *chosen = blocks + (a * H + h) * r;
            const int64_t count =
                choose(pattern->key, (uint64_t)(a << 16 | h), n_candidates, r, chosen);
            for (int64_t k = 0; k < r; k++) {
                if (k < count) chosen[k] += (int32_t)low;
                if (k < count && chosen[k] >= w_from) chosen[k] += (int32_t)(w_end - w_from);
                if (k >= count) chosen[k] = -1;
            }
        }
    }
}

static bool is_listed(const int32_t *list, int64_t n, int64_t block)
{
    for (int64_t k = 0; k < n; k++)
        if (list[k] == block) return true;
    return false;
}

/* Does block a of the queries see block c of the keys? */
static bool sees_block(const weft_sight *s, int64_t a, int64_t c)
{
    const weft_pattern *p = s->pattern;
    if (p->kind == WEFT_PATTERN_BLOCKS)
        return is_listed(s->block_index + s->block_begin[a],
                         s->block_begin[a + 1] - s->block_begin[a], c);
    const int64_t low = leading(p),
                  high = p->causal ? INT64_MAX : weft_pattern_blocks(p, s->n_k) - trailing(p);
    const int64_t distance = a < c ? c - a : a - c;
    return distance <= p->window_blocks / 2 || a < low || c < low || a >= high || c >= high ||
           is_listed(s->random + a * s->ldrandom, p->random_blocks, c);
}

/* ---- tiles -------------------------------------------------------------------------------------- */

static weft_seen least_seen(bool any, bool all)
{
    return all ? WEFT_SEES_ALL : any ? WEFT_SEES_SOME : WEFT_SEES_NONE;
}

/* A multiple of m in [low, high]? */
static bool has_multiple(int64_t low, int64_t high, int64_t m)
{
    const int64_t first = low >= 0 ? (low + m - 1) / m : -(-low / m);
    return first * m <= high;
}

/* A band of distances -ahead .. back against those of a tile, low .. high. */
static weft_seen band(int64_t low, int64_t high, int64_t ahead, int64_t back)
{
    return least_seen(low <= back && high >= -ahead, low >= -ahead && high <= back);
}

static weft_seen blocks_tile(const weft_sight *s, weft_span p, weft_span j)
{
    const int64_t size = s->pattern->block;
    bool any = false, all = true;
    for (int64_t a = p.from / size; a <= (p.end - 1) / size; a++)
        for (int64_t c = j.from / size; c <= (j.end - 1) / size; c++) {
            const bool seen = sees_block(s, a, c);
            any |= seen;
            all &= seen;
        }
    return least_seen(any, all);
}

static weft_seen fixed_tile(const weft_pattern *of, weft_span p, weft_span j)
{
    const int64_t l = of->stride, from = j.from % l, summary = l - of->summary;
    const int64_t p_low = p.from / l, p_high = (p.end - 1) / l, j_low = j.from / l,
                  j_high = (j.end - 1) / l;
    const bool meet = j_low <= p_high && j_high >= p_low, one = p_low == p_high && j_low == j_high;
    return least_seen(meet || from + (j.end - 1 - j.from) >= summary,
                      (meet && one) || (j_low == j_high && from >= summary));
}

/* The pattern alone: no global tokens, nothing causal, no mask. */
static weft_seen pattern_tile(const weft_sight *s, weft_span p, weft_span j)
{
    const weft_pattern *of = s->pattern;
    const int64_t low = p.from - (j.end - 1), high = p.end - 1 - j.from; /* distances */
    weft_seen seen = WEFT_SEES_ALL;
    switch (of->kind) {
    case WEFT_PATTERN_FULL: break;
    case WEFT_PATTERN_WINDOW: seen = band(low, high, s->ahead, s->back); break;
    case WEFT_PATTERN_DILATED:
        if (band(low, high, s->ahead, s->back) == WEFT_SEES_NONE ||
            !has_multiple(most(low, -s->ahead), least(high, s->back), of->gap))
            return WEFT_SEES_NONE;
        seen = of->gap == 1 ? band(low, high, s->ahead, s->back) : WEFT_SEES_SOME;
        break;
    case WEFT_PATTERN_STRIDED:
        seen = band(low, high, of->stride, of->stride);
        if (seen == WEFT_SEES_NONE && has_multiple(low, high, of->stride)) seen = WEFT_SEES_SOME;
        break;
    case WEFT_PATTERN_FIXED: seen = fixed_tile(of, p, j); break;
    case WEFT_PATTERN_BIGBIRD:
    case WEFT_PATTERN_BLOCKS: seen = blocks_tile(s, p, j); break;
    }
    return seen;
}

/* How many of the positions in `span` are global tokens? */
static int64_t count_globals(const weft_sight *s, weft_span span)
{
    const int64_t leading_ones = most(0, least(span.end, s->pattern->n_global) - span.from);
    int64_t n = leading_ones;
    if (s->global)
        for (int64_t j = span.from + leading_ones; j < least(span.end, s->n_k); j++)
            n += s->global[j] != 0;
    return n;
}

weft_seen weft_sight_tile(const weft_sight *s, int64_t i0, int64_t n_i, int64_t j0, int64_t n_j)
{
    const weft_span p = { i0 + s->first, i0 + s->first + n_i }, j = { j0, j0 + n_j };
    if (n_i < 1 || n_j < 1 || (s->pattern->causal && j0 >= p.end)) return WEFT_SEES_NONE;
    weft_seen seen = pattern_tile(s, p, j);
    const int64_t of_p = count_globals(s, p), of_j = count_globals(s, j);
    if (seen != WEFT_SEES_ALL && (of_p > 0 || of_j > 0))
        seen = least_seen(true, of_p == n_i || of_j == n_j);
    if (s->pattern->rows != WEFT_ROWS_ALL) {
        const int64_t silent = s->pattern->rows == WEFT_ROWS_LOCAL ? of_p : n_i - of_p;
        if (silent == n_i) return WEFT_SEES_NONE;
        if (silent > 0 && seen == WEFT_SEES_ALL) seen = WEFT_SEES_SOME;
    }
    const bool whole = !s->mask && (!s->pattern->causal || j.end - 1 <= p.from);
    return seen == WEFT_SEES_ALL && !whole ? WEFT_SEES_SOME : seen;
}

/* ---- rows --------------------------------------------------------------------------------------- */

static void band_row(int64_t d, int64_t n, int64_t ahead, int64_t back, int64_t gap, uint8_t see[])
{
    for (int64_t k = 0; k < n; k++)
        see[k] = d - k <= back && d - k >= -ahead && (gap == 1 || (d - k) % gap == 0);
}

static void pattern_row(const weft_sight *s, int64_t p, int64_t j0, int64_t n, uint8_t see[])
{
    const weft_pattern *of = s->pattern;
    const int64_t d = p - j0, l = of->stride; /* d - k: the distance to key j0 + k */
    switch (of->kind) {
    case WEFT_PATTERN_FULL: memset(see, 1, (size_t)n); break;
    case WEFT_PATTERN_WINDOW: band_row(d, n, s->ahead, s->back, 1, see); break;
    case WEFT_PATTERN_DILATED: band_row(d, n, s->ahead, s->back, of->gap, see); break;
    case WEFT_PATTERN_STRIDED:
        for (int64_t k = 0; k < n; k++) see[k] = (d - k <= l && d - k >= -l) || (d - k) % l == 0;
        break;
    case WEFT_PATTERN_FIXED:
        for (int64_t k = 0; k < n; k++)
            see[k] = p / l == (j0 + k) / l || (j0 + k) % l >= l - of->summary;
        break;
    case WEFT_PATTERN_BIGBIRD:
    case WEFT_PATTERN_BLOCKS:
        for (int64_t k = 0; k < n;) {
            const int64_t c = (j0 + k) / of->block, end = least(n, (c + 1) * of->block - j0);
            memset(see + k, sees_block(s, p / of->block, c), (size_t)(end - k));
            k = end;
        }
        break;
    }
}

void weft_sight_row(const weft_sight *s, int64_t i, int64_t j0, int64_t n_j, uint8_t see[])
{
    const int64_t p = i + s->first;
    pattern_row(s, p, j0, n_j, see);
    const bool is_global = count_globals(s, (weft_span){ p, p + 1 }) > 0;
    if (has_globals(s))
        for (int64_t k = 0; k < n_j; k++)
            see[k] |=
                is_global || j0 + k < s->pattern->n_global || (s->global && s->global[j0 + k] != 0);
    if (s->pattern->rows == (is_global ? WEFT_ROWS_LOCAL : WEFT_ROWS_GLOBAL))
        memset(see, 0, (size_t)n_j);
    if (s->pattern->causal)
        for (int64_t k = most(0, p + 1 - j0); k < n_j; k++) see[k] = 0;
    if (s->mask)
        for (int64_t k = 0; k < n_j; k++) see[k] &= s->mask[i * s->ldmask + j0 + k] != 0;
}

/* ---- spans -------------------------------------------------------------------------------------- */

/* [from, end) within 0 .. n, from moved down to where a tile begins. */
static weft_span within(int64_t from, int64_t end, int64_t n)
{
    from = most(from, 0) / TILE * TILE;
    end = least(end, n);
    return (weft_span){ from, most(end, from) };
}

weft_span weft_sight_keys(const weft_sight *s, int64_t i0, int64_t n_i)
{
    const int64_t p = i0 + s->first;
    const int64_t end = s->pattern->causal ? p + n_i : s->n_k;
    if (has_globals(s)) return within(0, end, s->n_k);
    return within(p - s->back, p + n_i + s->ahead, s->n_k);
}

weft_span weft_sight_queries(const weft_sight *s, int64_t j0, int64_t n_j)
{
    const int64_t from = s->pattern->causal ? j0 - s->first : 0;
    if (has_globals(s)) return within(from, s->n_q, s->n_q);
    return within(j0 - s->ahead - s->first, j0 + n_j + s->back - s->first, s->n_q);
}

/* ---- slopes ------------------------------------------------------------------------------------- */

double weft_alibi_slope(int h, int H)
{
    int power = 1;
    while (2 * power <= H) power *= 2;
    return h < power ? exp2(-8.0 * (h + 1) / power)
                     : exp2(-8.0 * (2 * (h - power) + 1) / (2 * power));
}
