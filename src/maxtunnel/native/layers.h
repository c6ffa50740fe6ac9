// A 3x3 convolution over planes, its gradients, and the gradient of the ReLU after it.
#pragma once
#include <algorithm>
#include <vector>

#include "planes.h"

// A 3x3 layer's weights for O outputs at a time, in the order in which `layer` reads them.
struct Packed {
    std::vector<float> weights;
    std::vector<float> bias;
    int64_t lines, out;  // a line holds a channel, or a pair of them

    // The layer itself, or the one that takes gradients of its outputs to gradients of its inputs.
    Packed(const float* from, int64_t out_channels, int64_t in_channels, bool backward, bool bfloat16)
        : bias(backward ? in_channels : out_channels), out(bias.size()) {
        const int64_t in = backward ? out_channels : in_channels;
        const auto weight = [&](int64_t o, int64_t c, int tap) {
            return c == in ? 0.0f : backward ? from[(c * in_channels + o) * 9 + 8 - tap] : from[(o * in_channels + c) * 9 + tap];
        };
        lines = bfloat16 ? (in + 1) / 2 : in;
        weights.reserve(lines * out * 9);
        for (int64_t first = 0; first < out; first += group(out - first))
            for (int64_t line = 0; line < lines; line++)
                for (int tap = 0; tap < 9; tap++)
                    for (int64_t o = first; o < first + group(out - first); o++)
                        weights.push_back(bfloat16 ? pair(weight(o, 2 * line, tap), weight(o, 2 * line + 1, tap))
                                                   : weight(o, line, tap));
        if (!backward) std::copy_n(from + in * out * 9, out, bias.begin());
    }

    // Outputs that are computed together when so many are left.
    static int64_t group(int64_t left) { return left >= 8 ? 8 : left >= 4 ? 4 : left; }
};

template <class M, int O, int B>
static inline void block(const Planes& in, const float* weights, const float* bias, bool relu, int64_t first, int64_t y, int64_t x, Planes& out) {
    Floats total[O][B];
#pragma GCC unroll 8
    for (int o = 0; o < O; o++)
#pragma GCC unroll 4
        for (int b = 0; b < B; b++) total[o][b] = bias[o] - Floats{};
    for (int64_t c = 0; c < in.channels; c++)
        for (int i = 0; i < 3; i++) {
            const float* line = in.line(c, y + i - 1) + x - 1;
#pragma GCC unroll 3
            for (int j = 0; j < 3; j++, weights += O)
#pragma GCC unroll 4
                for (int b = 0; b < B; b++) {
                    const Floats value = load<L>(line + j + b * L);
#pragma GCC unroll 8
                    for (int o = 0; o < O; o++) total[o][b] = M::add(total[o][b], value, M::all(weights[o]));
                }
        }
#pragma GCC unroll 8
    for (int o = 0; o < O; o++)
#pragma GCC unroll 4
        for (int b = 0; b < B; b++) {
            // A NaN stays one.
            const Floats value = total[o][b], zero = {};
            store<L>(relu ? (value < zero ? zero : value) : value, out.line(first + o, y) + x + b * L);
        }
}

template <class M, int O, int B, class Finish>
static void outputs(const Planes& in, const float* weights, const float* bias, bool relu, int64_t first, Planes& out, int threads, Finish finish) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t y = 0; y < out.height; y++) {
        int64_t x = 0;
        for (; x + B * L <= out.reach(); x += B * L) block<M, O, B>(in, weights, bias, relu, first, y, x, out);
        for (; x < out.reach(); x += L) block<M, O, 1>(in, weights, bias, relu, first, y, x, out);
        for (int o = 0; o < O; o++) out.trim(first + o, y);
        finish(y, first, O);
    }
}

// Calls finish(line, first channel, channels) for outputs that have just been computed and are still at hand.
template <class M, class Finish>
static void layer(const Planes& in, const Packed& packed, bool relu, Planes& out, int threads, Finish finish) {
    const float* weights = packed.weights.data();
    for (int64_t first = 0; first < packed.out;) {
        const int64_t count = Packed::group(packed.out - first);
        const float* bias = packed.bias.data() + first;
        if (count == 8) outputs<M, 8, REGISTERS / 16>(in, weights, bias, relu, first, out, threads, finish);
        else if (count == 4) outputs<M, 4, REGISTERS / 8>(in, weights, bias, relu, first, out, threads, finish);
        else if (count == 3) outputs<M, 3, REGISTERS / 8>(in, weights, bias, relu, first, out, threads, finish);
        else if (count == 2) outputs<M, 2, 4>(in, weights, bias, relu, first, out, threads, finish);
        else outputs<M, 1, 4>(in, weights, bias, relu, first, out, threads, finish);
        weights += count * packed.lines * 9, first += count;
    }
}

template <class Finish>
static void layer(const Operand& in, const Packed& packed, bool relu, Planes& out, int threads, Finish finish) {
    if (in.bfloat16) layer<Pair>(in.channel_pairs, packed, relu, out, threads, finish);
    else layer<Single>(in, packed, relu, out, threads, finish);
}

static void nothing(int64_t, int64_t, int64_t) {}

// Adds the gradients of O filters from one input channel; 9 O running sums stay in registers.
template <class M, int O>
static void filters(const Planes& in, const Planes& gradient, int64_t c, int64_t first, float* weights) {
    Floats total[9 * O] = {};
    for (int64_t y = 0; y < in.height; y++)
        for (int64_t x = 0; x < in.reach(); x += L) {
            Floats of[O];
            for (int o = 0; o < O; o++) of[o] = load<L>(gradient.line(first + o, y) + x);
#pragma GCC unroll 9
            for (int tap = 0; tap < 9; tap++) {
                const Floats value = load_once((const char*)(in.line(c, y + tap / 3 - 1) + x) + (tap % 3 - 1) * M::PIXEL);
#pragma GCC unroll 3
                for (int o = 0; o < O; o++) total[tap * O + o] = M::add(total[tap * O + o], value, of[o]);
            }
        }
    for (int o = 0; o < O; o++)
        for (int tap = 0; tap < 9; tap++) weights[((first + o) * in.channels + c) * 9 + tap] += sum<L>(total[tap * O + o]);
}

template <class M> static void filters(const Planes& in, const Planes& gradient, float* weights, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t c = 0; c < in.channels; c++)
        for (int64_t o = 0; o < gradient.channels;) {
            const int64_t left = gradient.channels - o;
            // Four are two and two: a single one would load more than it computes.
            if (left == 1) filters<M, 1>(in, gradient, c, o, weights), o += 1;
            else if (left == 2 || left == 4) filters<M, 2>(in, gradient, c, o, weights), o += 2;
            else filters<M, 3>(in, gradient, c, o, weights), o += 3;
        }
}

static void layer_gradient(const Operand& in, const Operand& gradient, float* weights, int threads) {
    if (in.bfloat16) filters<Pair>(in.pixel_pairs, gradient.pixel_pairs, weights, threads);
    else filters<Single>(in, gradient, weights, threads);
    float* bias = weights + gradient.channels * in.channels * 9;
    for (int64_t o = 0; o < gradient.channels; o++) {
        Floats total = {};
        for (int64_t y = 0; y < in.height; y++)
            for (int64_t x = 0; x < gradient.reach(); x += L) total += gradient.at(o, y, x);
        bias[o] += sum<L>(total);
    }
}

// The gradient of a ReLU whose result was `active`, in place, in line y of some channels.
template <class Active> static void mask(Planes& gradient, const Active& active, int64_t y, int64_t first, int64_t count) {
    for (int64_t c = first; c < first + count; c++)
        for (int64_t x = 0; x < gradient.reach(); x += L) {
            const Floats zero = {};
            float* at = gradient.line(c, y) + x;
            store<L>(active.at(c, y, x) > zero ? load<L>(at) : zero, at);
        }
}
