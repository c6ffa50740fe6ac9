// Whole networks, image by image, in float32: what an image needs stays near one core.
//
// planar.py compiles this file at first use; the layers one by one, in PyTorch, are its oracle. Activations are
// float32, one plane a channel, so that a vector is L neighbouring pixels however few channels there are.
// Weights come as one array: the decoder's bias code, then for each layer (out, in, 3, 3) and its biases.
#include <algorithm>
#include <memory>
#include <vector>

#include "vectors.h"

constexpr int L = 16;
using Floats = Vector<float, L>;

static inline float sum(Floats value) {
    float total = 0;
    for (int i = 0; i < L; i++) total += value[i];
    return total;
}

// Planes of height x width pixels in a border of zeros: those to the right of a line are left of the next one.
struct Planes {
    int64_t channels, height, width, length, size;
    std::vector<Floats> buffer;

    Planes(int64_t channels, int64_t height, int64_t width)
        : channels(channels), height(height), width(width), length((width + L) / L * L), size((height + 2) * length),
          buffer((channels * size + L) / L, Floats{}) {}

    float* line(int64_t channel, int64_t y) { return (float*)buffer.data() + L + channel * size + (y + 1) * length; }
    const float* line(int64_t channel, int64_t y) const { return const_cast<Planes*>(this)->line(channel, y); }
    // The vectors of a line; the last one may reach into the border, which `trim` makes zero again.
    int64_t reach() const { return (width + L - 1) / L * L; }
    void trim(int64_t channel, int64_t y) {
        float* at = line(channel, y);
        for (int64_t x = width; x < reach(); x++) at[x] = 0;
    }
};

// A 3x3 layer's weights for O outputs at a time, in the order in which `layer` reads them.
struct Packed {
    std::vector<float> weights;
    std::vector<float> bias;
    int64_t in, out;

    // The layer itself, or the one that takes gradients of its outputs to gradients of its inputs.
    Packed(const float* from, int64_t out_channels, int64_t in_channels, bool backward)
        : weights(out_channels * in_channels * 9), bias(backward ? in_channels : out_channels),
          in(backward ? out_channels : in_channels), out(backward ? in_channels : out_channels) {
        float* to = weights.data();
        for (int64_t first = 0; first < out; first += group(out - first))
            for (int64_t c = 0; c < in; c++)
                for (int tap = 0; tap < 9; tap++)
                    for (int64_t o = first; o < first + group(out - first); o++)
                        *to++ = backward ? from[(c * in_channels + o) * 9 + 8 - tap] : from[(o * in_channels + c) * 9 + tap];
        if (!backward) std::copy_n(from + weights.size(), out, bias.begin());
    }

    // Outputs that are computed together when so many are left.
    static int64_t group(int64_t left) { return left >= 8 ? 8 : left >= 4 ? 4 : left; }
};

template <int O, int B>
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
                    for (int o = 0; o < O; o++) total[o][b] += value * weights[o];
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

template <int O, int B>
static void outputs(const Planes& in, const float* weights, const float* bias, bool relu, int64_t first, Planes& out, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t y = 0; y < out.height; y++) {
        int64_t x = 0;
        for (; x + B * L <= out.reach(); x += B * L) block<O, B>(in, weights, bias, relu, first, y, x, out);
        for (; x < out.reach(); x += L) block<O, 1>(in, weights, bias, relu, first, y, x, out);
        for (int o = 0; o < O; o++) out.trim(first + o, y);
    }
}

static void layer(const Planes& in, const Packed& packed, bool relu, Planes& out, int threads) {
    const float* weights = packed.weights.data();
    for (int64_t first = 0; first < packed.out;) {
        const int64_t count = Packed::group(packed.out - first);
        const float* bias = packed.bias.data() + first;
        if (count == 8) outputs<8, 2>(in, weights, bias, relu, first, out, threads);
        else if (count == 4) outputs<4, 4>(in, weights, bias, relu, first, out, threads);
        else if (count == 3) outputs<3, 4>(in, weights, bias, relu, first, out, threads);
        else if (count == 2) outputs<2, 4>(in, weights, bias, relu, first, out, threads);
        else outputs<1, 4>(in, weights, bias, relu, first, out, threads);
        weights += count * packed.in * 9, first += count;
    }
}

// Adds the gradients of O filters from one input channel; 9 O running sums stay in registers.
template <int O>
static void filters(const Planes& in, const Planes& gradient, int64_t c, int64_t first, float* weights) {
    Floats total[9 * O] = {};
    for (int64_t y = 0; y < in.height; y++) {
        const float* near[] = {in.line(c, y - 1) - 1, in.line(c, y) - 1, in.line(c, y + 1) - 1};
        for (int64_t x = 0; x < in.reach(); x += L) {
            Floats of[O];
            for (int o = 0; o < O; o++) of[o] = load<L>(gradient.line(first + o, y) + x);
#pragma GCC unroll 9
            for (int tap = 0; tap < 9; tap++) {
                const Floats value = load<L>(near[tap / 3] + x + tap % 3);
#pragma GCC unroll 3
                for (int o = 0; o < O; o++) total[tap * O + o] += value * of[o];
            }
        }
    }
    for (int o = 0; o < O; o++)
        for (int tap = 0; tap < 9; tap++) weights[((first + o) * in.channels + c) * 9 + tap] += sum(total[tap * O + o]);
}

static void layer_gradient(const Planes& in, const Planes& gradient, float* weights, int threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (int64_t c = 0; c < in.channels; c++)
        for (int64_t o = 0; o < gradient.channels;) {
            const int64_t left = gradient.channels - o;
            // Four are two and two: a single one would load more than it computes.
            if (left == 1) filters<1>(in, gradient, c, o, weights), o += 1;
            else if (left == 2 || left == 4) filters<2>(in, gradient, c, o, weights), o += 2;
            else filters<3>(in, gradient, c, o, weights), o += 3;
        }
    float* bias = weights + gradient.channels * in.channels * 9;
    for (int64_t o = 0; o < gradient.channels; o++) {
        Floats total = {};
        for (int64_t y = 0; y < in.height; y++)
            for (int64_t x = 0; x < in.reach(); x += L) total += load<L>(gradient.line(o, y) + x);
        bias[o] += sum(total);
    }
}

// The gradient of a ReLU whose result was `active`, in place.
static void mask(Planes& gradient, const Planes& active) {
    for (int64_t c = 0; c < gradient.channels; c++)
        for (int64_t y = 0; y < gradient.height; y++)
            for (int64_t x = 0; x < gradient.reach(); x += L) {
                const Floats zero = {};
                float* at = gradient.line(c, y) + x;
                store<L>(load<L>(active.line(c, y) + x) > zero ? load<L>(at) : zero, at);
            }
}

// Window codes of one image, wherever they lie.
struct Codes {
    uint8_t* at;
    int64_t channel, row, column;
    uint8_t& operator()(int64_t c, int64_t y, int64_t x) const { return at[c * channel + y * row + x * column]; }
};

// Runs work(window, how many) along a row of windows, L at a time as far as they go; the codes lie in `row`.
template <class Work> static inline void along(int64_t width, Work work) {
    int64_t x = 0;
    for (; x + L <= width; x += L) work(std::integral_constant<int, L>{}, x);
    for (; x < width; x++) work(std::integral_constant<int, 1>{}, x);
}

// The two rows of a plane, and the row of values and codes, that belong together.
template <class Work> static void each_row(int64_t channels, int64_t height, int64_t width, Codes codes, bool write, Work work) {
    std::vector<uint8_t> row(width);
    for (int64_t c = 0; c < channels; c++)
        for (int64_t y = 0; y < height; y++) {
            if (!write)
                for (int64_t x = 0; x < width; x++) row[x] = codes(c, y, x);
            work(c, y, row.data());
            if (write)
                for (int64_t x = 0; x < width; x++) codes(c, y, x) = row[x];
        }
}

static void pool(const Planes& in, Planes& values, Codes codes) {
    each_row(values.channels, values.height, values.width, codes, true, [&](int64_t c, int64_t y, uint8_t* row) {
        const float *top = in.line(c, 2 * y), *bottom = in.line(c, 2 * y + 1);
        float* to = values.line(c, y);
        along(values.width, [&](auto lanes, int64_t x) {
            constexpr int N = lanes;
            Vector<float, N> a, b, e, d;
            read_pairs<N>(top + 2 * x, a, b), read_pairs<N>(bottom + 2 * x, e, d);
            Vector<int32_t, N> code = {};
            challenge<N>(b, 1, a, code), challenge<N>(e, 2, a, code), challenge<N>(d, 3, a, code);
            store<N>(a, to + x), store_codes<N>(code, row + x);
        });
    });
}

static void put(const Planes& values, Codes codes, Planes& out) {
    each_row(values.channels, values.height, values.width, codes, false, [&](int64_t c, int64_t y, uint8_t* row) {
        const float* from = values.line(c, y);
        float *top = out.line(c, 2 * y), *bottom = out.line(c, 2 * y + 1);
        along(values.width, [&](auto lanes, int64_t x) {
            constexpr int N = lanes;
            const auto value = load<N>(from + x);
            const auto code = load_codes<N>(row + x);
            const Vector<float, N> zero = {};
            write_pairs<N>(top + 2 * x, code == 0 ? value : zero, code == 1 ? value : zero);
            write_pairs<N>(bottom + 2 * x, code == 2 ? value : zero, code == 3 ? value : zero);
        });
    });
}

static void take(const Planes& plane, Codes codes, Planes& values) {
    each_row(values.channels, values.height, values.width, codes, false, [&](int64_t c, int64_t y, uint8_t* row) {
        const float *top = plane.line(c, 2 * y), *bottom = plane.line(c, 2 * y + 1);
        float* to = values.line(c, y);
        along(values.width, [&](auto lanes, int64_t x) {
            constexpr int N = lanes;
            Vector<float, N> a, b, e, d;
            read_pairs<N>(top + 2 * x, a, b), read_pairs<N>(bottom + 2 * x, e, d);
            const auto code = load_codes<N>(row + x);
            const Vector<float, N> zero = {};
            store<N>(code == 0 ? a : code == 1 ? b : code == 2 ? e : code == 3 ? d : zero, to + x);
        });
    });
}

// What Python hands over: strides are in elements, levels finest first.
struct Network {
    int64_t batch, height, width, blocks;
    const int64_t* widths;
    uint8_t* const* codes;
    const int64_t* strides;  // image, channel, row, column of each level
    int32_t threads;

    // Cores share the images, or, where there are fewer images than cores, the rows of each.
    int across() const { return batch < threads ? 1 : threads; }
    int within() const { return batch < threads ? threads : 1; }
    int64_t inputs(int64_t block) const { return block ? widths[block - 1] : 3; }
    int64_t parameters() const {
        int64_t count = widths[blocks - 1];
        for (int64_t b = 0; b < blocks; b++)
            count += widths[b] * (9 * widths[b] + 1) + inputs(b) * (9 * widths[b] + 1);
        return count;
    }
    Codes level(int64_t block, int64_t image) const {
        const int64_t* stride = strides + 4 * block;
        return {codes[block] + image * stride[0], stride[1], stride[2], stride[3]};
    }
};

// Every layer's weights, packed once a call; `offset` is where a layer's lie in the array of all.
struct Layer {
    int64_t offset;
    Packed forward, backward;
    Layer(const float* parameters, int64_t offset, int64_t out, int64_t in)
        : offset(offset), forward(parameters + offset, out, in, false), backward(parameters + offset, out, in, true) {}
};

// A batch of images, wherever its pixels lie.
struct Images {
    const float* at;
    int64_t image, channel, row, column;
};

static void read_image(const Images& images, int64_t n, Planes& planes) {
    for (int64_t c = 0; c < planes.channels; c++)
        for (int64_t y = 0; y < planes.height; y++) {
            const float* from = images.at + n * images.image + c * images.channel + y * images.row;
            float* to = planes.line(c, y);
            if (images.column == 1) std::copy_n(from, planes.width, to);
            else
                for (int64_t x = 0; x < planes.width; x++) to[x] = from[x * images.column];
        }
}

// Planes to an image in channels-last order.

static void write_image(const Planes& planes, float* image) {
    for (int64_t y = 0; y < planes.height; y++)
        for (int64_t x = 0; x < planes.width; x++)
            for (int64_t c = 0; c < planes.channels; c++)
                image[(y * planes.width + x) * planes.channels + c] = planes.line(c, y)[x];
}

extern "C" void encode(const Images* images, const float* parameters, float* features, const Network* network) {
    const Network& net = *network;
    std::vector<Layer> layers;
    int64_t offset = 0;
    for (int64_t b = 0; b < net.blocks; b++)
        for (int64_t in : {net.inputs(b), net.widths[b]}) {
            layers.emplace_back(parameters, offset, net.widths[b], in);
            offset += net.widths[b] * (9 * in + 1);
        }
#pragma omp parallel for num_threads(net.across()) schedule(static)
    for (int64_t n = 0; n < net.batch; n++) {
        auto x = std::make_unique<Planes>(3, net.height, net.width);
        read_image(*images, n, *x);
        for (int64_t b = 0; b < net.blocks; b++) {
            const int64_t height = net.height >> b, width = net.width >> b;
            Planes first(net.widths[b], height, width), second(net.widths[b], height, width);
            layer(*x, layers[2 * b].forward, true, first, net.within());
            layer(first, layers[2 * b + 1].forward, true, second, net.within());
            x = std::make_unique<Planes>(net.widths[b], height / 2, width / 2);
            pool(second, *x, net.level(b, n));
        }
        write_image(*x, features + n * x->channels * x->height * x->width);
    }
}

// One image on its way through a decoder, and its gradients on their way back.
struct Passage {
    struct Block {
        Planes values, plane, hidden, out;
    };
    std::vector<Block> blocks;  // finest first

    explicit Passage(const Network& net) {
        for (int64_t b = 0; b < net.blocks; b++) {
            const int64_t height = net.height >> b, width = net.width >> b, filters = net.widths[b];
            blocks.push_back({Planes(filters, height / 2, width / 2), Planes(filters, height, width),
                              Planes(filters, height, width), Planes(net.inputs(b), height, width)});
        }
    }
};

static std::vector<Layer> decoder_layers(const Network& net, const float* parameters) {
    std::vector<Layer> layers;  // deepest first, as they are run
    int64_t offset = net.widths[net.blocks - 1];
    for (int64_t b = net.blocks - 1; b >= 0; b--)
        for (int64_t out : {net.widths[b], net.inputs(b)}) {
            layers.emplace_back(parameters, offset, out, net.widths[b]);
            offset += out * (9 * net.widths[b] + 1);
        }
    return layers;
}

static const Planes& forward(const Network& net, const std::vector<Layer>& layers, const float* bias_code, int64_t image, Passage& passage) {
    auto& deepest = passage.blocks.back().values;
    for (int64_t c = 0; c < deepest.channels; c++)
        for (int64_t y = 0; y < deepest.height; y++) std::fill_n(deepest.line(c, y), deepest.width, bias_code[c]);
    for (int64_t b = net.blocks - 1, i = 0; b >= 0; b--, i += 2) {
        auto& block = passage.blocks[b];
        const Planes& values = b == net.blocks - 1 ? block.values : passage.blocks[b + 1].out;
        put(values, net.level(b, image), block.plane);
        layer(block.plane, layers[i].forward, true, block.hidden, net.within());
        layer(block.hidden, layers[i + 1].forward, b > 0, block.out, net.within());
    }
    return passage.blocks[0].out;
}

extern "C" void decode(const float* parameters, float* images, const Network* network) {
    const Network& net = *network;
    const auto layers = decoder_layers(net, parameters);
#pragma omp parallel for num_threads(net.across()) schedule(static)
    for (int64_t n = 0; n < net.batch; n++) {
        Passage passage(net);
        write_image(forward(net, layers, parameters, n, passage), images + n * 3 * net.height * net.width);
    }
}

// The sum of (output - target)^2, and its gradients, which are added to `gradients`.
extern "C" double squared_error(const float* parameters, const Images* targets, float* gradients, const Network* network) {
    const Network& net = *network;
    const auto layers = decoder_layers(net, parameters);
    const int64_t count = net.parameters(), parts = net.across();
    std::vector<std::vector<float>> partial(parts, std::vector<float>(count));
    std::vector<double> squares(parts);
#pragma omp parallel for num_threads(net.across()) schedule(static)
    for (int64_t part = 0; part < parts; part++) {
        Passage passage(net), back(net);
        Planes target(3, net.height, net.width);
        float* mine = partial[part].data();
        for (int64_t n = net.batch * part / parts; n < net.batch * (part + 1) / parts; n++) {
            const Planes& output = forward(net, layers, parameters, n, passage);
            read_image(*targets, n, target);
            for (int64_t c = 0; c < 3; c++)
                for (int64_t y = 0; y < net.height; y++) {
                    Floats total = {};
                    for (int64_t x = 0; x < output.reach(); x += L) {
                        const Floats error = load<L>(output.line(c, y) + x) - load<L>(target.line(c, y) + x);
                        total += error * error;
                        store<L>(error + error, back.blocks[0].out.line(c, y) + x);
                    }
                    squares[part] += sum(total);
                }
            for (int64_t b = 0, i = 2 * net.blocks - 2; b < net.blocks; b++, i -= 2) {
                auto &there = passage.blocks[b], &here = back.blocks[b];
                if (b) mask(here.out, there.out);
                layer_gradient(there.hidden, here.out, mine + layers[i + 1].offset, net.within());
                layer(here.out, layers[i + 1].backward, false, here.hidden, net.within());
                mask(here.hidden, there.hidden);
                layer_gradient(there.plane, here.hidden, mine + layers[i].offset, net.within());
                layer(here.hidden, layers[i].backward, false, here.plane, net.within());
                take(here.plane, net.level(b, n), b + 1 < net.blocks ? back.blocks[b + 1].out : here.values);
            }
            const Planes& deepest = back.blocks.back().values;
            for (int64_t c = 0; c < deepest.channels; c++)
                for (int64_t y = 0; y < deepest.height; y++)
                    for (int64_t x = 0; x < deepest.width; x++) mine[c] += deepest.line(c, y)[x];
        }
    }
    double total = 0;
    for (int64_t part = 0; part < parts; part++) {
        total += squares[part];
        for (int64_t i = 0; i < count; i++) gradients[i] += partial[part][i];
    }
    return total;
}
