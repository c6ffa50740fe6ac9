// The gradient of a ReLU, and 3x3 convolutions to three channels: the last layer of a decoder, where a general
// convolution works on five or ten times the channels that there are.
//
// convolution.py compiles this file at first use and holds the plain version, which is its oracle. Activations
// come in channels-last order, float32 or bfloat16; row by row they are turned into one line of float32 a
// channel, so that a vector is L neighbouring pixels and no channel is wasted.
#include <algorithm>
#include <vector>

#include "vectors.h"

struct Shape {
    int64_t batch, height, width, channels;
    int32_t threads;
};

constexpr int L = LANES, COLOURS = 3, TAPS = 9, WEIGHTS = TAPS * COLOURS;
constexpr int WIDE = REGISTERS / 8;  // vectors of each colour that are summed at a time
template <int N> using Floats = Vector<float, N>;

// Where fewer than N values are left.
template <int N, class T> static inline Floats<N> load_rest(const T* from, int64_t left) {
    T values[N] = {};
    std::copy_n(from, left, values);
    return load<N>(values);
}

// N pixels of up to N channels each to N lines of N pixels: taking turns log2(N) times transposes.
template <int N> static inline void transpose(Floats<N> (&pixels)[N]) {
    for (int round = 1; round < N; round *= 2) {
        Floats<N> next[N];
        for (int i = 0; i < N / 2; i++) {
            next[2 * i] = turns<0>(pixels[i], pixels[i + N / 2], std::make_integer_sequence<int, N>{});
            next[2 * i + 1] = turns<1>(pixels[i], pixels[i + N / 2], std::make_integer_sequence<int, N>{});
        }
        std::memcpy(pixels, next, sizeof next);
    }
}

// One row of a plane as a line a channel, `length` floats apart.
template <int N, class T>
static void copy_row(const T* row, int64_t width, int64_t channels, int64_t length, float* lines) {
    for (int64_t c = 0; c < channels; c += N)
        for (int64_t x = 0; x < width; x += N) {
            const int64_t here = std::min<int64_t>(N, channels - c), columns = std::min<int64_t>(N, width - x);
            Floats<N> block[N] = {};
            for (int64_t i = 0; i < columns; i++) {
                // Reading on into the next pixel is harmless; there is none after the last.
                const int64_t at = (x + i) * channels + c, left = width * channels - at;
                block[i] = left >= N ? load<N>(row + at) : load_rest<N>(row + at, left);
            }
            transpose<N>(block);
            for (int64_t i = 0; i < here; i++) store<N>(block[i], lines + (c + i) * length + x);
        }
}

// Lines of floats for some channels: L zeros, the pixels, at least one zero; pixels are aligned for vectors.
class Lines {
  public:
    const int64_t length;

    Lines(int64_t width, int64_t channels)
        : length((width + 3 * L - 1) / L * L), width(width), channels(channels), buffer(channels * length / L) {}

    float* operator[](int64_t channel) { return (float*)buffer.data() + channel * length + L; }
    const float* operator[](int64_t channel) const { return (const float*)buffer.data() + channel * length + L; }

    void clear() { std::memset((void*)buffer.data(), 0, channels * length * sizeof(float)); }

    template <class T> void fill(const T* row) {
        if (channels > 8) copy_row<L>(row, width, channels, length, (*this)[0]);
        else copy_row<std::min(L, 8)>(row, width, channels, length, (*this)[0]);
    }

  private:
    int64_t width, channels;
    std::vector<Floats<L>> buffer;
};

// Three neighbouring rows of one image after another; zeros above and below.
template <class T> class Rows {
  public:
    Rows(const T* images, const Shape& shape)
        : images(images), shape(shape), lines(3, Lines(shape.width, shape.channels)) {}

    void to(int64_t row) {
        const int64_t y = row % shape.height;
        for (int64_t near = y && row == at + 1 ? y + 1 : y - 1; near <= y + 1; near++) {
            if (near < 0 || near >= shape.height) lines[(near + 3) % 3].clear();
            else lines[(near + 3) % 3].fill(images + (row - y + near) * shape.width * shape.channels);
        }
        at = row;
    }

    // The row above (0), the current one (1) or the one below (2).
    const Lines& operator[](int64_t which) const { return lines[(at % shape.height + which + 2) % 3]; }

  private:
    const T* images;
    const Shape& shape;
    int64_t at = -2;
    std::vector<Lines> lines;
};

// Runs work(part, first row, last row + 1) over all rows of the batch, one part a thread.
template <class Work> static void share(const Shape& shape, Work work) {
    const int64_t rows = shape.batch * shape.height;
#pragma omp parallel for num_threads(shape.threads) schedule(static)
    for (int32_t part = 0; part < shape.threads; part++)
        work(part, rows * part / shape.threads, rows * (part + 1) / shape.threads);
}

// B x L pixels of one row in all three colours.
template <int B, class T>
static inline void pixels(const Rows<T>& rows, int64_t x, int64_t channels, const float* weights, const float* bias, Lines& out) {
    Floats<L> total[COLOURS][B];
    for (int colour = 0; colour < COLOURS; colour++)
        for (int b = 0; b < B; b++) total[colour][b] = bias[colour] - Floats<L>{};
    for (int i = 0; i < 3; i++) {
        const Lines& row = rows[i];
        for (int64_t c = 0; c < channels; c++, weights += TAPS)
#pragma GCC unroll 3
            for (int j = 0; j < 3; j++)
#pragma GCC unroll 4
                for (int b = 0; b < B; b++) {
                    const auto value = load<L>(row[c] + x + b * L + j - 1);
                    for (int colour = 0; colour < COLOURS; colour++) total[colour][b] += value * weights[j * 3 + colour];
                }
    }
    for (int colour = 0; colour < COLOURS; colour++)
        for (int b = 0; b < B; b++) store<L>(total[colour][b], out[colour] + x + b * L);
}

// weights: [kernel row][channel][kernel column][colour].
template <class T>
static void forward(const T* x, const float* weights, const float* bias, float* out, const Shape& shape) {
    share(shape, [&](int32_t, int64_t begin, int64_t end) {
        Rows<T> rows(x, shape);
        Lines lines(shape.width, COLOURS);
        for (int64_t row = begin; row < end; row++) {
            rows.to(row);
            int64_t column = 0;
            for (; column + WIDE * L <= shape.width; column += WIDE * L)
                pixels<WIDE>(rows, column, shape.channels, weights, bias, lines);
            for (; column < shape.width; column += L)
                pixels<1>(rows, column, shape.channels, weights, bias, lines);
            float* to = out + row * shape.width * COLOURS;
            for (column = 0; column < shape.width; column++)
                for (int colour = 0; colour < COLOURS; colour++) to[column * COLOURS + colour] = lines[colour][column];
        }
    });
}

// Adds to weights, as above, and to bias. A channel's 27 sums stay in registers along a row.
template <class T>
static void weight_gradient(const T* x, const float* gradient, float* weights, float* bias, const Shape& shape) {
    const int64_t count = shape.channels * WEIGHTS;
    std::vector<Floats<L>> sums(shape.threads * (count + COLOURS));
    share(shape, [&](int32_t part, int64_t begin, int64_t end) {
        Rows<T> rows(x, shape);
        Lines out(shape.width, COLOURS);
        Floats<L>* mine = &sums[part * (count + COLOURS)];
        for (int64_t row = begin; row < end; row++) {
            rows.to(row);
            out.fill(gradient + row * shape.width * COLOURS);
            for (int64_t c = 0; c < shape.channels; c++) {
                Floats<L> total[WEIGHTS] = {};
                const float* near[] = {rows[0][c] - 1, rows[1][c] - 1, rows[2][c] - 1};
                for (int64_t column = 0; column < shape.width; column += L) {
                    const Floats<L> red = load<L>(out[0] + column), green = load<L>(out[1] + column), blue = load<L>(out[2] + column);
#pragma GCC unroll 9
                    for (int tap = 0; tap < TAPS; tap++) {
                        const auto value = load<L>(near[tap / 3] + column + tap % 3);
                        total[tap * 3] += value * red;
                        total[tap * 3 + 1] += value * green;
                        total[tap * 3 + 2] += value * blue;
                    }
                }
                for (int i = 0; i < WEIGHTS; i++) mine[c * WEIGHTS + i] += total[i];
            }
            for (int colour = 0; colour < COLOURS; colour++)
                for (int64_t column = 0; column < shape.width; column += L)
                    mine[count + colour] += load<L>(out[colour] + column);
        }
    });
    for (int32_t part = 0; part < shape.threads; part++)
        for (int lane = 0; lane < L; lane++) {
            const Floats<L>* its = &sums[part * (count + COLOURS)];
            for (int64_t c = 0; c < shape.channels; c++)
                for (int i = 0; i < WEIGHTS; i++)
                    weights[(i / TAPS * shape.channels + c) * TAPS + i % TAPS] += its[c * WEIGHTS + i][lane];
            for (int colour = 0; colour < COLOURS; colour++) bias[colour] += its[count + colour][lane];
        }
}

static inline bool positive(float value) { return value > 0; }
static inline bool positive(uint16_t bits) { return int16_t(bits) > 0; }

template <class T> static void mask(const T* gradient, const T* active, T* out, int64_t count, int32_t threads) {
#pragma omp parallel for simd num_threads(threads) schedule(static)
    for (int64_t i = 0; i < count; i++) out[i] = positive(active[i]) ? gradient[i] : T(0);
}

#define EXPORT(SUFFIX, T)                                                                                              \
    extern "C" void forward_##SUFFIX(const T* x, const float* weights, const float* bias, float* out, const Shape* s) { \
        forward(x, weights, bias, out, *s);                                                                             \
    }                                                                                                                  \
    extern "C" void weights_##SUFFIX(const T* x, const float* gradient, float* weights, float* bias, const Shape* s) {  \
        weight_gradient(x, gradient, weights, bias, *s);                                                                \
    }                                                                                                                  \
    extern "C" void mask_##SUFFIX(const T* gradient, const T* active, T* out, int64_t count, int32_t threads) {          \
        mask(gradient, active, out, count, threads);                                                                    \
    }

EXPORT(float32, float)
EXPORT(bfloat16, uint16_t)
