// Whole networks, image by image: what an image needs stays near one core.
//
// planar.py compiles this file at first use; the layers one by one, in PyTorch, are its oracle. Activations are
// float32, one plane a channel, so that a vector is L neighbouring pixels however few channels there are. Training
// may multiply in bfloat16, with sums in float32; then what is multiplied has been rounded before.
// Weights come as one array: the decoder's bias code, then for each layer (out, in, 3, 3) and its biases.
#include <algorithm>
#include <memory>
#include <vector>

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

#include "vectors.h"

constexpr int L = 16;
using Floats = Vector<float, L>;

// A vector from anywhere. The compiler would rather read it anew for each use, which takes longer.
static inline Floats load_once(const char* from) {
    Floats value;
    std::memcpy(&value, from, sizeof value);
#ifdef __AVX512F__
    asm("" : "+v"(value));
#endif
    return value;
}

template <int N> static inline float sum(Vector<float, N> value) {
    if constexpr (N == 1) {
        return value[0];
    } else {
        Vector<float, N / 2> halves[2];
        std::memcpy(halves, &value, sizeof value);
        return sum<N / 2>(halves[0] + halves[1]);
    }
}

// Planes of height x width pixels in a border of zeros: those to the right of a line are left of the next one.
struct Planes {
    int64_t channels, height, width, length, size, kept;
    std::unique_ptr<Floats[]> buffer;

    // Of passing planes two lines stay, the even and the odd one last written.
    Planes(int64_t channels, int64_t height, int64_t width, bool passing = false)
        : channels(channels), height(height), width(width), length((width + L) / L * L),
          size(((passing ? 2 : height) + 2) * length), kept(passing ? 1 : -1) {
        open();
    }

    void open() {
        buffer.reset(new Floats[(channels * size + 2 * L) / L]);
        clear(0, L), clear(L + channels * size, L);
        for (int64_t c = 0; c < channels; c++) {
            const int64_t first = L + c * size, filled = width / L * L;
            clear(first, length), clear(first + size - length, length);
            for (int64_t at = first + length; at < first + size - length; at += length) clear(at + filled, length - filled);
        }
    }
    void close() { buffer.reset(); }

    float* line(int64_t channel, int64_t y) { return (float*)buffer.get() + L + channel * size + ((y & kept) + 1) * length; }
    const float* line(int64_t channel, int64_t y) const { return const_cast<Planes*>(this)->line(channel, y); }
    Floats at(int64_t channel, int64_t y, int64_t x) const { return load<L>(line(channel, y) + x); }
    // The vectors of a line; the last one may reach into the border, which `trim` makes zero again.
    int64_t reach() const { return (width + L - 1) / L * L; }
    void trim(int64_t channel, int64_t y) {
        float* at = line(channel, y);
        for (int64_t x = width; x < reach(); x++) at[x] = 0;
    }

  private:
    void clear(int64_t first, int64_t count) { std::memset((float*)buffer.get() + first, 0, count * sizeof(float)); }
};

// How values are multiplied and summed: one float32 of each operand at a time,
struct Single {
    static constexpr int PIXEL = sizeof(float);
    static Floats all(float value) { return value - Floats{}; }
    static Floats add(Floats total, Floats a, Floats b) { return total + a * b; }
};

// or two bfloat16 of each, which lie in the place of a float.
struct Pair {
    static constexpr int PIXEL = sizeof(uint16_t);
    static Floats all(float value) {
        int32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        return (Floats)(bits - Vector<int32_t, L>{});
    }
    static Floats add(Floats total, Floats a, Floats b) {
#ifdef __AVX512BF16__
        return (Floats)_mm512_dpbf16_ps((__m512)total, (__m512bh)a, (__m512bh)b);
#else
        const auto low = [](Floats pair) { return (Floats)((Vector<uint32_t, L>)pair << 16); };
        const auto high = [](Floats pair) { return (Floats)((Vector<uint32_t, L>)pair & 0xffff0000u); };
        return total + low(a) * low(b) + high(a) * high(b);
#endif
    }
};

// Whether this processor multiplies pairs in one step; elsewhere they are no gain.
extern "C" int32_t multiplies_pairs() {
#ifdef __AVX512BF16__
    return 1;
#else
    return 0;
#endif
}

// Values as bfloat16, to the nearest, in the upper halves; what is left in the lower ones means nothing.
template <class Values, class Bits = std::conditional_t<std::is_same_v<Values, float>, uint32_t, Vector<uint32_t, L>>>
static inline Bits rounded(Values value) {
    Bits bits;
    std::memcpy(&bits, &value, sizeof bits);
    return value == value ? bits + 0x7fff + (bits >> 16 & 1) : bits;
}

template <class Values> static inline Values pair(Values low, Values high) {
    const auto bits = rounded(low) >> 16 | (rounded(high) & 0xffff0000u);
    Values both;
    std::memcpy(&both, &bits, sizeof both);
    return both;
}

// Planes to be multiplied. In bfloat16 their values pass by and are kept rounded, twice over: two channels side by
// side, for sums over channels, and two neighbouring pixels, for sums over pixels. The former go when done with.
struct Operand : Planes {
    bool bfloat16;
    Planes channel_pairs, pixel_pairs;

    // Lines that several threads write at once cannot pass by.
    Operand(int64_t channels, int64_t height, int64_t width, bool bfloat16, int threads)
        : Planes(channels, height, width, bfloat16 && threads == 1), bfloat16(bfloat16),
          channel_pairs(bfloat16 ? (channels + 1) / 2 : 0, height, width),
          pixel_pairs(bfloat16 ? channels : 0, height, (width + 1) / 2) {}

    Floats at(int64_t channel, int64_t y, int64_t x) const {
        return bfloat16 ? load<L>((const uint16_t*)pixel_pairs.line(channel, y) + x) : Planes::at(channel, y, x);
    }

    // Rounds line y of some channels, beginning with an even one.
    void round(int64_t y, int64_t first, int64_t count) {
        for (int64_t c = first; bfloat16 && c < first + count; c += 2)
            for (int64_t x = 0; x < reach(); x += L) {
                const bool both = c + 1 < channels;
                const Floats one = Planes::at(c, y, x), other = both ? Planes::at(c + 1, y, x) : Floats{};
                store<L>(pair(one, other), channel_pairs.line(c / 2, y) + x);
                store_half(one, c, y, x);
                if (both) store_half(other, c + 1, y, x);
            }
    }
    void round(int64_t y) { round(y, 0, channels); }

  private:
    void store_half(Floats value, int64_t channel, int64_t y, int64_t x) {
        store<L>((Floats)rounded(value), (uint16_t*)pixel_pairs.line(channel, y) + x);
    }
};

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
        if (count == 8) outputs<M, 8, 2>(in, weights, bias, relu, first, out, threads, finish);
        else if (count == 4) outputs<M, 4, 4>(in, weights, bias, relu, first, out, threads, finish);
        else if (count == 3) outputs<M, 3, 4>(in, weights, bias, relu, first, out, threads, finish);
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
template <class Work> static void each_row(int64_t channels, int64_t y, int64_t width, Codes codes, bool write, Work work) {
    std::vector<uint8_t> row(width);
    for (int64_t c = 0; c < channels; c++) {
        if (!write)
            for (int64_t x = 0; x < width; x++) row[x] = codes(c, y, x);
        work(c, row.data());
        if (write)
            for (int64_t x = 0; x < width; x++) codes(c, y, x) = row[x];
    }
}

// What follows works on row y of the windows.
static void pool(const Planes& in, Planes& values, Codes codes, int64_t y) {
    each_row(values.channels, y, values.width, codes, true, [&](int64_t c, uint8_t* row) {
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

static void put(const Planes& values, Codes codes, Planes& out, int64_t y) {
    each_row(values.channels, y, values.width, codes, false, [&](int64_t c, uint8_t* row) {
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

static void take(const Planes& plane, Codes codes, Planes& values, int64_t y) {
    each_row(values.channels, y, values.width, codes, false, [&](int64_t c, uint8_t* row) {
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
    int32_t threads, bfloat16;

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
    Operand operand(int64_t block, int64_t channels) const {
        return Operand(channels, height >> block, width >> block, bfloat16, within());
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
    Layer(const float* parameters, int64_t offset, int64_t out, int64_t in, bool bfloat16)
        : offset(offset), forward(parameters + offset, out, in, false, bfloat16),
          backward(parameters + offset, out, in, true, bfloat16) {}
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
            layers.emplace_back(parameters, offset, net.widths[b], in, false);
            offset += net.widths[b] * (9 * in + 1);
        }
#pragma omp parallel for num_threads(net.across()) schedule(static)
    for (int64_t n = 0; n < net.batch; n++) {
        auto x = std::make_unique<Planes>(3, net.height, net.width);
        read_image(*images, n, *x);
        for (int64_t b = 0; b < net.blocks; b++) {
            const int64_t height = net.height >> b, width = net.width >> b;
            Planes first(net.widths[b], height, width), second(net.widths[b], height, width);
            layer<Single>(*x, layers[2 * b].forward, true, first, net.within(), nothing);
            layer<Single>(first, layers[2 * b + 1].forward, true, second, net.within(), nothing);
            x = std::make_unique<Planes>(net.widths[b], height / 2, width / 2);
            for (int64_t y = 0; y < x->height; y++) pool(second, *x, net.level(b, n), y);
        }
        write_image(*x, features + n * x->channels * x->height * x->width);
    }
}

// One image on its way through a decoder.
struct Passage {
    struct Block {
        Operand plane, hidden;
        Planes out;
    };
    Planes code;
    std::vector<Block> blocks;  // finest first

    explicit Passage(const Network& net)
        : code(net.widths[net.blocks - 1], net.height >> net.blocks, net.width >> net.blocks) {
        for (int64_t b = 0; b < net.blocks; b++)
            blocks.push_back({net.operand(b, net.widths[b]), net.operand(b, net.widths[b]),
                              Planes(net.inputs(b), net.height >> b, net.width >> b)});
    }
};

static std::vector<Layer> decoder_layers(const Network& net, const float* parameters) {
    std::vector<Layer> layers;  // deepest first, as they are run
    int64_t offset = net.widths[net.blocks - 1];
    for (int64_t b = net.blocks - 1; b >= 0; b--)
        for (int64_t out : {net.widths[b], net.inputs(b)}) {
            layers.emplace_back(parameters, offset, out, net.widths[b], net.bfloat16);
            offset += out * (9 * net.widths[b] + 1);
        }
    return layers;
}

static const Planes& forward(const Network& net, const std::vector<Layer>& layers, const float* bias_code, int64_t image, Passage& passage) {
    for (int64_t c = 0; c < passage.code.channels; c++)
        for (int64_t y = 0; y < passage.code.height; y++) std::fill_n(passage.code.line(c, y), passage.code.width, bias_code[c]);
    for (int64_t b = net.blocks - 1, i = 0; b >= 0; b--, i += 2) {
        auto& [plane, hidden, out] = passage.blocks[b];
        const Planes& values = b == net.blocks - 1 ? passage.code : passage.blocks[b + 1].out;
        plane.channel_pairs.open(), hidden.channel_pairs.open();
        for (int64_t y = 0; y < values.height; y++) {
            put(values, net.level(b, image), plane, y);
            plane.round(2 * y), plane.round(2 * y + 1);
        }
        layer(plane, layers[i].forward, true, hidden, net.within(),
              [&hidden = hidden](int64_t y, int64_t first, int64_t count) { hidden.round(y, first, count); });
        layer(hidden, layers[i + 1].forward, b > 0, out, net.within(), nothing);
        plane.channel_pairs.close(), hidden.channel_pairs.close();
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

// Adds the gradients of an image, given that of the output.
static void backward(const Network& net, const std::vector<Layer>& layers, int64_t image, const Passage& passage, Operand gradient, float* gradients) {
    for (int64_t b = 0, i = 2 * net.blocks - 2;; b++, i -= 2) {
        const auto& [plane, hidden, out] = passage.blocks[b];
        layer_gradient(hidden, gradient, gradients + layers[i + 1].offset, net.within());
        Operand of_hidden = net.operand(b, net.widths[b]);
        layer(gradient, layers[i + 1].backward, false, of_hidden, net.within(), [&, &hidden = hidden](int64_t y, int64_t first, int64_t count) {
            mask(of_hidden, hidden, y, first, count);
            of_hidden.round(y, first, count);
        });
        layer_gradient(plane, of_hidden, gradients + layers[i].offset, net.within());
        Planes of_plane(net.widths[b], net.height >> b, net.width >> b);
        layer(of_hidden, layers[i].backward, false, of_plane, net.within(), nothing);
        const Codes codes = net.level(b, image);
        if (b + 1 == net.blocks) {
            Planes of_code(net.widths[b], of_plane.height / 2, of_plane.width / 2);
            for (int64_t y = 0; y < of_code.height; y++) {
                take(of_plane, codes, of_code, y);
                for (int64_t c = 0; c < of_code.channels; c++)
                    for (int64_t x = 0; x < of_code.width; x++) gradients[c] += of_code.line(c, y)[x];
            }
            return;
        }
        Operand of_values = net.operand(b + 1, net.widths[b]);
        for (int64_t y = 0; y < of_values.height; y++) {
            take(of_plane, codes, of_values, y);
            mask(of_values, passage.blocks[b + 1].out, y, 0, of_values.channels);
            of_values.round(y);
        }
        gradient = std::move(of_values);
    }
}

// The sum of (output - target)^2, and its gradients, which are added to `gradients`.
extern "C" double squared_error(const float* parameters, const Images* targets, float* gradients, const Network* network) {
    const Network& net = *network;
    const auto layers = decoder_layers(net, parameters);
    const int64_t count = net.parameters(), parts = net.across();
    std::vector<std::vector<float>> partial(parts, std::vector<float>(count));
    double squares = 0;
#pragma omp parallel for num_threads(net.across()) schedule(static) reduction(+ : squares)
    for (int64_t part = 0; part < parts; part++) {
        Passage passage(net);
        Planes target(3, net.height, net.width);
        for (int64_t n = net.batch * part / parts; n < net.batch * (part + 1) / parts; n++) {
            const Planes& output = forward(net, layers, parameters, n, passage);
            read_image(*targets, n, target);
            Operand gradient = net.operand(0, 3);
            for (int64_t y = 0; y < net.height; y++) {
                Floats total = {};
                for (int64_t c = 0; c < 3; c++)
                    for (int64_t x = 0; x < output.reach(); x += L) {
                        const Floats error = output.at(c, y, x) - target.at(c, y, x);
                        total += error * error;
                        store<L>(error + error, gradient.line(c, y) + x);
                    }
                squares += sum<L>(total);
                gradient.round(y);
            }
            backward(net, layers, n, passage, std::move(gradient), partial[part].data());
        }
    }
    for (const auto& its : partial)
        for (int64_t i = 0; i < count; i++) gradients[i] += its[i];
    return squares;
}
