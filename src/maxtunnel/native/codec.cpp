// Entropy coding of one level of switches, by a learned model or by an adaptive one, in whole numbers only, so
// that every machine and compiler makes the same bytes.
//
// plain.py holds the same arithmetic in NumPy and Python, which is the oracle and takes over where there is no
// compiler; docs/format.md is the specification of both. `Decoding` turns each function round: it then reads
// codes from the bytes instead of writing them.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <vector>

constexpr int HIDDEN = 64, MIDDLE = 32, TILE = 64, OUTSIDE = 4;
constexpr int OWN = 12, OWN_ROW[OWN] = {0, 0, -1, -1, -1, -1, -1, -2, -2, -2, -2, -2},
              OWN_COLUMN[OWN] = {-1, -2, -2, -1, 0, 1, 2, -2, -1, 0, 1, 2};
constexpr int CONTEXTS = 10, READS = 6, LIMIT = 250, SLOTS = 1 << 16, MOST = 1 << 24;

struct Shape {
    int64_t images, channels, height, width;
};

// Probabilities of a 1 have 16 bits. The interval [low, high] shrinks with every decision, and its leading
// bytes leave as soon as they are settled.
template <bool Decoding> struct Coder {
    uint8_t* bytes;
    int64_t size, at = 0;
    uint32_t low = 0, high = 0xffffffff, value = 0;

    Coder(uint8_t* bytes, int64_t size) : bytes(bytes), size(size) {
        if (Decoding)
            for (int i = 0; i < 4; i++) value = value << 8 | next();
    }

    uint8_t next() { return at < size ? bytes[at++] : 0; }

    void put(uint8_t byte) {
        if (at < size) bytes[at] = byte;
        at++;
    }

    int code(int bit, uint32_t probability) {
        const uint32_t range = high - low;
        const uint32_t middle = low + (range >> 16) * probability + ((range & 0xffff) * probability >> 16);
        if (Decoding) bit = value <= middle;
        bit ? high = middle : low = middle + 1;
        while ((low ^ high) >> 24 == 0) {
            if (Decoding) value = value << 8 | next();
            else put(low >> 24);
            low <<= 8, high = high << 8 | 0xff;
        }
        return bit;
    }

    // One byte settles the rest, since reading past the end gives zeros. -1: the bytes did not suffice.
    int64_t finish() {
        if (Decoding) return 0;
        if (low > 0) put((low >> 24) + 1);
        return at > size ? -1 : at;
    }
};

static inline int clamp(int64_t logit) { return int(std::max<int64_t>(-2047, std::min<int64_t>(2047, logit))); }

// Planes with a margin of cells that hold OUTSIDE, or 0, all around.
struct Padded {
    int64_t margin, line, plane;
    std::vector<uint8_t> cells;

    Padded(int64_t planes, int64_t height, int64_t width, int64_t margin, uint8_t outside)
        : margin(margin), line(width + 2 * margin), plane((height + 2 * margin) * line),
          cells(planes * plane, outside) {}

    uint8_t* at(int64_t number, int64_t row, int64_t column) {
        return cells.data() + number * plane + (row + margin) * line + column + margin;
    }
};

// Channel after channel is coded within a tile, so that the running sums take little memory.
struct Tile {
    int64_t top, bottom, left, right;
};

struct Weights {
    int32_t reach, above_reach;  // sides of the square neighbourhoods in this level and in the one above
    const uint16_t *trunk, *above, *bias;
    const int32_t *middle, *middle_bias, *own, *out, *out_bias;
    const uint16_t* squash;
};

// The compiler cuts vectors to what the processor has.
template <class T, int L> using Vector [[gnu::vector_size(sizeof(T) * L)]] = T;
constexpr int LANES = 16;
using Units = Vector<int32_t, LANES>;

template <class V> static inline V load(const void* from) {
    V vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
}

// Sums of 16 bits wrap round, should they ever overflow.
static inline void add(uint16_t* sum, const uint16_t* row) {
    const auto total = load<Vector<uint16_t, HIDDEN>>(sum) + load<Vector<uint16_t, HIDDEN>>(row);
    std::memcpy(sum, &total, sizeof total);
}

template <bool Decoding> struct Learned {
    const Shape& shape;
    const Shape& above_shape;
    const Weights& weights;
    Padded known, above;
    std::vector<uint16_t> trunk;
    Coder<Decoding> coder;

    Learned(const Shape& shape, const Shape& above_shape, const Weights& weights, uint8_t* bytes, int64_t size)
        : shape(shape), above_shape(above_shape), weights(weights),
          known(shape.channels, shape.height, shape.width, std::max(2, weights.reach / 2), OUTSIDE),
          above(above_shape.channels, seen(shape.height), seen(shape.width), weights.above_reach / 2, OUTSIDE),
          trunk(TILE * TILE * HIDDEN), coder(bytes, size) {}

    // Rows or columns of the level above that this one looks at.
    int64_t seen(int64_t side) { return (side - 1) / 2 + 1 + weights.above_reach / 2; }

    void image(uint8_t* codes, const uint8_t* above_codes) {
        std::fill(known.cells.begin(), known.cells.end(), OUTSIDE);
        std::fill(above.cells.begin(), above.cells.end(), OUTSIDE);
        const int64_t rows = std::min(above_shape.height, seen(shape.height));
        const int64_t columns = std::min(above_shape.width, seen(shape.width));
        for (int64_t c = 0; c < above_shape.channels; c++)
            for (int64_t y = 0; y < rows; y++)
                std::copy_n(above_codes + (c * above_shape.height + y) * above_shape.width, columns, above.at(c, y, 0));
        for (int64_t y = 0; y < shape.height; y += TILE)
            for (int64_t x = 0; x < shape.width; x += TILE)
                tile(codes, {y, std::min(y + TILE, shape.height), x, std::min(x + TILE, shape.width)});
    }

    void tile(uint8_t* codes, const Tile& tile) {
        std::fill_n(trunk.begin(), (tile.bottom - tile.top) * (tile.right - tile.left) * HIDDEN, 0);
        for (int64_t c = 0; c < above_shape.channels; c++) gather_above(c, tile);
        for (int64_t c = 0; c < shape.channels; c++) {
            uint16_t* sum = trunk.data();
            for (int64_t y = tile.top; y < tile.bottom; y++)
                for (int64_t x = tile.left; x < tile.right; x++, sum += HIDDEN) {
                    uint8_t& code = codes[(c * shape.height + y) * shape.width + x];
                    int32_t logits[3];
                    predict(c, y, x, sum, logits);
                    const int down = decide(code >> 1, logits[0]);
                    code = uint8_t(down << 1 | decide(code & 1, logits[1 + down]));
                    *known.at(c, y, x) = code;
                }
            gather(c, tile);
        }
    }

    int decide(int bit, int32_t logit) { return coder.code(bit, weights.squash[logit + 2048]); }

    // What the codes of the level above say of every window of this one.
    void gather_above(int64_t channel, const Tile& tile) {
        const int reach = weights.above_reach, half = reach / 2;
        uint16_t* sum = trunk.data();
        for (int64_t y = tile.top; y < tile.bottom; y++)
            for (int64_t x = tile.left; x < tile.right; x++, sum += HIDDEN)
                for (int cell = 0; cell < reach * reach; cell++) {
                    const int code = *above.at(channel, y / 2 + cell / reach - half, x / 2 + cell % reach - half);
                    const int64_t row = ((channel * reach * reach + cell) * 5 + code) * 4 + (y & 1) * 2 + (x & 1);
                    add(sum, weights.above + row * HIDDEN);
                }
    }

    // What the codes of a channel, now known, say of the channels after it.
    void gather(int64_t channel, const Tile& tile) {
        const int reach = weights.reach, half = reach / 2;
        uint16_t* sum = trunk.data();
        for (int64_t y = tile.top; y < tile.bottom; y++)
            for (int64_t x = tile.left; x < tile.right; x++, sum += HIDDEN)
                for (int cell = 0; cell < reach * reach; cell++) {
                    const int code = *known.at(channel, y + cell / reach - half, x + cell % reach - half);
                    add(sum, weights.trunk + ((channel * reach * reach + cell) * 5 + code) * HIDDEN);
                }
    }

    void predict(int64_t channel, int64_t y, int64_t x, const uint16_t* sum, int32_t* logits) {
        const int32_t* middle = weights.middle + channel * HIDDEN * MIDDLE;
        uint16_t hidden[HIDDEN];
        std::memcpy(hidden, sum, sizeof hidden);
        add(hidden, weights.bias + channel * HIDDEN);
        Units units[MIDDLE / LANES];
        std::memcpy(units, weights.middle_bias + channel * MIDDLE, sizeof units);
        for (int i = 0; i < HIDDEN; i++) {
            const int32_t unit = std::max<int16_t>(0, int16_t(hidden[i]));
            for (int j = 0; j < MIDDLE / LANES; j++) units[j] += unit * load<Units>(middle + i * MIDDLE + j * LANES);
        }
        for (auto& unit : units) unit >>= 6;
        for (int cell = 0; cell < OWN; cell++) {
            const int code = *known.at(channel, y + OWN_ROW[cell], x + OWN_COLUMN[cell]);
            const int32_t* row = weights.own + ((channel * OWN + cell) * 5 + code) * MIDDLE;
            for (int j = 0; j < MIDDLE / LANES; j++) units[j] += load<Units>(row + j * LANES);
        }
        for (auto& unit : units) {
            unit = unit < 0 ? Units{} : unit;
            unit = unit > 32767 ? Units{} + 32767 : unit;
        }
        for (int node = 0; node < 3; node++) {
            const int32_t* out = weights.out + (channel * 3 + node) * MIDDLE;
            Units products = {};
            for (int j = 0; j < MIDDLE / LANES; j++) products += units[j] * load<Units>(out + j * LANES);
            int32_t logit = weights.out_bias[channel * 3 + node];
            for (int lane = 0; lane < LANES; lane++) logit += products[lane];
            logits[node] = clamp(logit >> 4);
        }
    }
};

struct Windows {
    int32_t cells, bits;  // of a window; binary decisions that name one
    const int32_t* peers;  // (channels, 2): earlier channels to look at, -1 for none
    const int8_t* reads;  // (CONTEXTS, READS, 3): source (0 own channel, 1 and 2 the peers, -1 none), row, column
    const uint16_t* squash;
    const int16_t* stretch;
};

struct Counter {
    uint16_t probability, seen;
};

template <bool Decoding> struct Adaptive {
    const Shape& shape;
    const Windows& windows;
    Padded known;
    std::vector<Counter> counters;
    std::vector<int32_t> weights;
    const uint8_t* cells[CONTEXTS][READS];
    int64_t used[CONTEXTS];  // counters that a context can reach
    int32_t confidence[LIMIT + 1], rate[LIMIT + 1];  // of a counter that has seen so many decisions
    Counter* slots[CONTEXTS];
    Coder<Decoding> coder;

    Adaptive(const Shape& shape, const Windows& windows, uint8_t* bytes, int64_t size)
        : shape(shape), windows(windows), known(shape.images * shape.channels, shape.height, shape.width, 2, 0),
          counters(CONTEXTS * SLOTS), weights((CONTEXTS + 1) << windows.bits, 65536 * 16 / (10 * CONTEXTS)),
          coder(bytes, size) {
        for (int seen = 0; seen <= LIMIT; seen++) {
            confidence[seen] = 256 * (10 * seen + 4) / (10 * seen + 19);
            rate[seen] = 327680 / (10 * seen + 16);
        }
        for (int context = 0; context < CONTEXTS; context++) {
            used[context] = 1 << windows.bits;
            for (int read = 0; read < READS; read++)
                if (windows.reads[(context * READS + read) * 3] >= 0)
                    used[context] = std::min<int64_t>(SLOTS, used[context] * windows.cells);
        }
    }

    void channel(uint8_t* codes, int64_t channel) {
        for (int context = 0; context < CONTEXTS; context++)
            std::fill_n(&counters[context * SLOTS], used[context], Counter{32768, 0});
        for (int64_t image = 0; image < shape.images; image++) {
            const int64_t plane = image * shape.channels + channel;
            find_cells(image, channel);
            for (int64_t y = 0; y < shape.height; y++)
                for (int64_t x = 0; x < shape.width; x++) {
                    uint8_t& code = codes[(plane * shape.height + y) * shape.width + x];
                    *known.at(plane, y, x) = code = window(code, y * known.line + x);
                }
        }
    }

    void find_cells(int64_t image, int64_t channel) {
        for (int context = 0; context < CONTEXTS; context++)
            for (int read = 0; read < READS; read++) {
                const int8_t* it = windows.reads + (context * READS + read) * 3;
                const int64_t source = it[0] < 0 ? -1 : it[0] == 0 ? channel : windows.peers[channel * 2 + it[0] - 1];
                cells[context][read] = source < 0 ? nullptr : known.at(image * shape.channels + source, it[1], it[2]);
            }
    }

    uint8_t window(int code, int64_t offset) {
        for (int context = 0; context < CONTEXTS; context++) {
            uint32_t hash = 0;
            for (const uint8_t* cell : cells[context]) hash = cell ? hash * windows.cells + cell[offset] : hash;
            slots[context] = &counters[context * SLOTS + (hash << windows.bits) % SLOTS];
        }
        int node = 1;
        for (int left = windows.bits - 1; left >= 0; left--) {
            // Where the upper half names no cell there is nothing to decide.
            const int upper = ((node << 1 | 1) << left) - (1 << windows.bits);
            node = node << 1 | (upper < windows.cells ? decide(code >> left & 1, node) : 0);
        }
        return uint8_t(node - (1 << windows.bits));
    }

    int decide(int bit, int node) {
        int32_t inputs[CONTEXTS + 1], *weight = &weights[(CONTEXTS + 1) * node];
        int64_t sum = 0;
        for (int i = 0; i < CONTEXTS; i++) {
            const Counter& counter = slots[i][node];
            inputs[i] = windows.stretch[counter.probability >> 4] * confidence[counter.seen] >> 8;
        }
        inputs[CONTEXTS] = 256;
        for (int i = 0; i <= CONTEXTS; i++) sum += int64_t(weight[i]) * inputs[i];
        const int32_t probability = windows.squash[clamp(sum >> 16) + 2048];
        bit = coder.code(bit, probability);
        const int32_t error = ((bit << 16) - probability) * 6;
        for (int i = 0; i <= CONTEXTS; i++)
            weight[i] = std::max(-MOST, std::min(MOST, weight[i] + ((inputs[i] * error + (1 << 17)) >> 18)));
        for (int i = 0; i < CONTEXTS; i++) learn(slots[i][node], bit);
        return bit;
    }

    void learn(Counter& counter, int bit) {
        const int32_t step = (bit ? 65535 : 0) - counter.probability;
        counter.probability += step * rate[counter.seen] >> 15;
        counter.seen += counter.seen < LIMIT;
    }
};

template <bool Decoding>
static int64_t learned(const Shape& shape, const Shape& above, const Weights& weights, uint8_t* codes,
                       const uint8_t* above_codes, uint8_t* bytes, int64_t size) {
    Learned<Decoding> model(shape, above, weights, bytes, size);
    for (int64_t image = 0; image < shape.images; image++)
        model.image(codes + image * shape.channels * shape.height * shape.width,
                    above_codes + image * above.channels * above.height * above.width);
    return model.coder.finish();
}

template <bool Decoding>
static int64_t adaptive(const Shape& shape, const Windows& windows, uint8_t* codes, uint8_t* bytes, int64_t size) {
    Adaptive<Decoding> model(shape, windows, bytes, size);
    for (int64_t channel = 0; channel < shape.channels; channel++) model.channel(codes, channel);
    return model.coder.finish();
}

// An exception that left these functions would end the process. Vectors throw where there is no memory.
template <class Work> static int64_t guarded(Work work) {
    try {
        return work();
    } catch (const std::exception&) {
        return -2;
    }
}

// Both return the bytes written, -1 where `size` did not suffice, -2 where memory did not.
extern "C" int64_t learned(const Shape* shape, const Shape* above, const Weights* weights, uint8_t* codes,
                           const uint8_t* above_codes, uint8_t* bytes, int64_t size, int32_t decoding) {
    return guarded([&] {
        return decoding ? learned<true>(*shape, *above, *weights, codes, above_codes, bytes, size)
                        : learned<false>(*shape, *above, *weights, codes, above_codes, bytes, size);
    });
}

extern "C" int64_t adaptive(const Shape* shape, const Windows* windows, uint8_t* codes, uint8_t* bytes, int64_t size,
                            int32_t decoding) {
    return guarded([&] {
        return decoding ? adaptive<true>(*shape, *windows, codes, bytes, size)
                        : adaptive<false>(*shape, *windows, codes, bytes, size);
    });
}
