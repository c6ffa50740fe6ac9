// Whole networks, image by image: what an image needs stays near one core.
//
// planar.py compiles this file at first use; the layers one by one, in PyTorch, are its oracle. Activations are
// float32; training may multiply in bfloat16 (`planes.h`).
// Weights come as one array: the decoder's bias code, then for each layer (out, in, 3, 3) and its biases.
#include <algorithm>
#include <memory>
#include <vector>

#include "layers.h"

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

// Whether this processor multiplies pairs in one step; elsewhere they are no gain.
extern "C" int32_t multiplies_pairs() {
#ifdef __AVX512BF16__
    return 1;
#else
    return 0;
#endif
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
    std::vector<double> squares(parts);
#pragma omp parallel for num_threads(net.across()) schedule(static)
    for (int64_t part = 0; part < parts; part++) {
        Passage passage(net);
        Planes target(3, net.height, net.width);
        double its = 0;
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
                its += sum<L>(total);
                gradient.round(y);
            }
            backward(net, layers, n, passage, std::move(gradient), partial[part].data());
        }
        squares[part] = its;
    }
    // In order, so that a run gives the same again.
    double total = 0;
    for (int64_t part = 0; part < parts; part++) {
        total += squares[part];
        for (int64_t i = 0; i < count; i++) gradients[i] += partial[part][i];
    }
    return total;
}
