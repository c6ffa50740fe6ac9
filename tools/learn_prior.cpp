// The gradient of the bits that a prior (src/maxtunnel/codec/prior.py) spends, in floating point, and Adam.
//
// A prior looks up rows by place and code, so its gradient touches few of them: by hand it is some thirty times as
// fast as by a framework's convolutions. learn_prior.py compiles this file.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

constexpr int HIDDEN = 64, MIDDLE = 32, LANES = 16, OWN = 12, MARGIN = 4, OUTSIDE = 4;
constexpr int OWN_ROW[OWN] = {0, 0, -1, -1, -1, -1, -1, -2, -2, -2, -2, -2};
constexpr int OWN_COLUMN[OWN] = {-1, -2, -2, -1, 0, 1, 2, -2, -1, 0, 1, 2};
typedef float Lanes __attribute__((vector_size(64), aligned(4), may_alias));

struct Geometry {
    int32_t channels, height, width, channels_above, height_above, width_above, reach, above_reach;
};

// Where each array lies in the one long vector of weights, in the order of learn_prior.py.
struct Layout {
    int64_t bias, trunk, above, middle, middle_bias, own, out, out_bias;
};

template <int N> static inline void add(float* sum, const float* row) {
    for (int i = 0; i < N; i += LANES) *(Lanes*)(sum + i) += *(const Lanes*)(row + i);
}

struct Model {
    const Geometry& g;
    const Layout& at;
    const float* weights;
    float* gradient;  // or null
    int64_t line, plane, line_above, plane_above;
    std::vector<float> sums, sum_gradients, middle_transposed;
    std::vector<int64_t> rows, rows_above;
    double bits = 0;

    Model(const Geometry& g, const Layout& at, const float* weights, float* gradient)
        : g(g), at(at), weights(weights), gradient(gradient), line(g.width + 2 * MARGIN),
          plane((g.height + 2 * MARGIN) * line), line_above(g.width_above + 2 * MARGIN),
          plane_above((g.height_above + 2 * MARGIN) * line_above), sums(g.channels * HIDDEN),
          sum_gradients(g.channels * HIDDEN), middle_transposed(g.channels * HIDDEN * MIDDLE),
          rows(g.channels * g.reach * g.reach), rows_above(g.channels_above * g.above_reach * g.above_reach) {
        for (int64_t c = 0; c < g.channels; c++)
            for (int i = 0; i < HIDDEN; i++)
                for (int j = 0; j < MIDDLE; j++)
                    middle_transposed[(c * MIDDLE + j) * HIDDEN + i] = weights[at.middle + (c * HIDDEN + i) * MIDDLE + j];
    }

    // One window of all channels; the codes are padded planes.
    void window(const uint8_t* codes, const uint8_t* above, int y, int x) {
        const uint8_t* cell = codes + (y + MARGIN) * line + x + MARGIN;
        const uint8_t* cell_above = above + (y / 2 + MARGIN) * line_above + x / 2 + MARGIN;
        float sum[HIDDEN] = {};
        gather_above(cell_above, (y & 1) * 2 + (x & 1), sum);
        for (int64_t c = 0; c < g.channels; c++) {
            channel(c, cell + c * plane, sum);
            gather(c, cell + c * plane, sum);
        }
        if (gradient) scatter();
    }

    void gather_above(const uint8_t* cell, int place, float* sum) {
        int64_t number = 0;
        for (int64_t c = 0; c < g.channels_above; c++)
            for (int d = 0; d < g.above_reach * g.above_reach; d++, number++) {
                const int half = g.above_reach / 2;
                const int code = cell[c * plane_above + (d / g.above_reach - half) * line_above + d % g.above_reach - half];
                rows_above[number] = code == OUTSIDE ? -1 : at.above + ((number * 4 + code) * 4 + place) * HIDDEN;
                if (code != OUTSIDE) add<HIDDEN>(sum, weights + rows_above[number]);
            }
    }

    void gather(int64_t c, const uint8_t* cell, float* sum) {
        const int area = g.reach * g.reach, half = g.reach / 2;
        for (int d = 0; d < area; d++) {
            const int code = cell[(d / g.reach - half) * line + d % g.reach - half];
            const int64_t row = at.trunk + ((c * area + d) * 4 + code) * HIDDEN;
            rows[c * area + d] = code == OUTSIDE ? -1 : row;
            if (code != OUTSIDE) add<HIDDEN>(sum, weights + row);
        }
    }

    void channel(int64_t c, const uint8_t* cell, const float* sum) {
        float* hidden = &sums[c * HIDDEN];
        for (int i = 0; i < HIDDEN; i++) hidden[i] = sum[i] + weights[at.bias + c * HIDDEN + i];
        Lanes units[MIDDLE / LANES];
        std::memcpy(units, weights + at.middle_bias + c * MIDDLE, sizeof units);
        for (int i = 0; i < HIDDEN; i++) {
            const float unit = hidden[i] > 0 ? hidden[i] : 0;
            for (int j = 0; j < MIDDLE / LANES; j++)
                units[j] += unit * *(const Lanes*)(weights + at.middle + (c * HIDDEN + i) * MIDDLE + j * LANES);
        }
        int64_t own[OWN];
        for (int d = 0; d < OWN; d++) {
            const int code = cell[OWN_ROW[d] * line + OWN_COLUMN[d]];
            own[d] = code == OUTSIDE ? -1 : at.own + ((c * OWN + d) * 4 + code) * MIDDLE;
            if (own[d] >= 0) add<MIDDLE>((float*)units, weights + own[d]);
        }
        const int row = cell[0] >> 1, bit[2] = {row, cell[0] & 1}, node[2] = {0, 1 + row};
        float error[2], positive[MIDDLE];
        for (int j = 0; j < MIDDLE; j++) positive[j] = ((float*)units)[j] > 0 ? ((float*)units)[j] : 0;
        for (int k = 0; k < 2; k++) {
            float logit = weights[at.out_bias + c * 3 + node[k]];
            for (int j = 0; j < MIDDLE; j++) logit += weights[at.out + (c * 3 + node[k]) * MIDDLE + j] * positive[j];
            const float probability = 1 / (1 + std::exp(-logit));
            bits -= std::log2(std::fmax(bit[k] ? probability : 1 - probability, 1e-7f));
            error[k] = probability - bit[k];
        }
        if (gradient) back(c, node, error, positive, own);
    }

    void back(int64_t c, const int* node, const float* error, const float* positive, const int64_t* own) {
        float unit_gradient[MIDDLE] = {}, *hidden = &sums[c * HIDDEN], *hidden_gradient = &sum_gradients[c * HIDDEN];
        for (int k = 0; k < 2; k++) {
            const int64_t out = (c * 3 + node[k]) * MIDDLE;
            gradient[at.out_bias + c * 3 + node[k]] += error[k];
            for (int j = 0; j < MIDDLE; j++) {
                gradient[at.out + out + j] += error[k] * positive[j];
                unit_gradient[j] += positive[j] > 0 ? error[k] * weights[at.out + out + j] : 0;
            }
        }
        add<MIDDLE>(gradient + at.middle_bias + c * MIDDLE, unit_gradient);
        for (int d = 0; d < OWN; d++)
            if (own[d] >= 0) add<MIDDLE>(gradient + own[d], unit_gradient);
        Lanes through[HIDDEN / LANES] = {}, steps[MIDDLE / LANES];
        std::memcpy(steps, unit_gradient, sizeof steps);
        for (int i = 0; i < HIDDEN; i++)
            if (hidden[i] > 0)
                for (int j = 0; j < MIDDLE / LANES; j++)
                    *(Lanes*)(gradient + at.middle + (c * HIDDEN + i) * MIDDLE + j * LANES) += hidden[i] * steps[j];
        for (int j = 0; j < MIDDLE; j++)
            for (int i = 0; i < HIDDEN / LANES; i++)
                through[i] += unit_gradient[j] * *(Lanes*)&middle_transposed[(c * MIDDLE + j) * HIDDEN + i * LANES];
        for (int i = 0; i < HIDDEN; i++) hidden_gradient[i] = hidden[i] > 0 ? ((float*)through)[i] : 0;
    }

    // A channel's rows are in the sums of all channels after it, so their gradients add up from the last on.
    void scatter() {
        float total[HIDDEN] = {};
        const int area = g.reach * g.reach;
        for (int64_t c = g.channels - 1; c >= 0; c--) {
            for (int d = 0; d < area; d++)
                if (rows[c * area + d] >= 0) add<HIDDEN>(gradient + rows[c * area + d], total);
            add<HIDDEN>(total, &sum_gradients[c * HIDDEN]);
            add<HIDDEN>(gradient + at.bias + c * HIDDEN, &sum_gradients[c * HIDDEN]);
        }
        for (const int64_t row : rows_above)
            if (row >= 0) add<HIDDEN>(gradient + row, total);
    }
};

// Bits of the windows at `places`, each (image, row, column); adds to `gradient` where it is given.
extern "C" double bits(const Geometry* g, const Layout* at, const uint8_t* codes, const uint8_t* above,
                       const int32_t* places, int64_t count, const float* weights, float* gradient) {
    Model model(*g, *at, weights, gradient);
    for (int64_t i = 0; i < count; i++) {
        const int32_t* place = places + 3 * i;
        model.window(codes + place[0] * g->channels * model.plane, above + place[0] * g->channels_above * model.plane_above,
                     place[1], place[2]);
    }
    return model.bits;
}

// Kingma and Ba, 2015; weights stay within what a byte holds. Clears the gradient.
extern "C" void adam(float* weights, float* gradient, float* mean, float* square, int64_t count, int64_t step,
                     float rate, float scale, float bound) {
    const float c1 = 1 / (1 - std::pow(0.9, step)), c2 = 1 / (1 - std::pow(0.99, step));
    for (int64_t i = 0; i < count; i++) {
        const float value = gradient[i] * scale;
        gradient[i] = 0;
        mean[i] = 0.9f * mean[i] + 0.1f * value;
        square[i] = 0.99f * square[i] + 0.01f * value * value;
        const float next = weights[i] - rate * mean[i] * c1 / (std::sqrt(square[i] * c2) + 1e-8f);
        weights[i] = std::fmin(bound, std::fmax(-bound, next));
    }
}
