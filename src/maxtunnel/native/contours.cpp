// Counts behind precision and recall of contours at many thresholds: thinning, and matching one to one.
//
// evaluation/contours.py holds the same with SciPy and scikit-image, which is the oracle.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <queue>
#include <vector>

// Costs are whole numbers, so that sums are exact: of a thousandth of a pixel, and of a draw between equal ones.
constexpr double PER_PIXEL = 1000;
constexpr int64_t DRAWS = 1 << 20;

struct Shape {
    int64_t height, width, thresholds, annotators;
    double radius;
    int32_t thin, threads;
};

using Map = std::vector<uint8_t>;  // a plane with a border of one cell of zeros

struct Plane {
    int64_t height, width, row;
    Plane(int64_t height, int64_t width) : height(height), width(width), row(width + 2) {}
    int64_t cells() const { return (height + 2) * row; }
    int64_t at(int64_t y, int64_t x) const { return (y + 1) * row + x + 1; }
};

// Whether a pixel goes in the first (0) or second (1) half of a round, by its neighbours: bit 0 is the one to
// the right, and so on against the clock. Lam, Lee and Suen 1992, as MATLAB's bwmorph has it.
static bool goes(int around, int half) {
    int x[9];
    for (int k = 0; k < 8; k++) x[k] = around >> k & 1;
    x[8] = x[0];
    int crossings = 0, first = 0, second = 0;
    for (int k = 0; k < 8; k += 2) {
        crossings += !x[k] && (x[k + 1] || x[k + 2]);
        first += x[k] || x[k + 1];
        second += x[k + 1] || x[k + 2];
    }
    const int least = std::min(first, second);
    if (crossings != 1 || least < 2 || least > 3) return false;
    return half == 0 ? !((x[1] || x[2] || !x[7]) && x[0]) : !((x[5] || x[6] || !x[3]) && x[4]);
}

struct Table {
    bool goes_in[2][256];
    Table() {
        for (int half = 0; half < 2; half++)
            for (int around = 0; around < 256; around++) goes_in[half][around] = goes(around, half);
    }
};

static void thin(Map& map, const Plane& plane) {
    static const Table table;
    const int64_t row = plane.row, steps[8] = {1, 1 - row, -row, -1 - row, -1, row - 1, row, row + 1};
    std::vector<int64_t> on, leave;
    for (int64_t i = 0; i < plane.cells(); i++)
        if (map[i]) on.push_back(i);
    for (bool changed = true; changed;) {
        changed = false;
        for (int half = 0; half < 2; half++) {
            leave.clear();
            for (int64_t i : on) {
                int around = 0;
                for (int k = 0; k < 8; k++) around |= map[i + steps[k]] << k;
                if (table.goes_in[half][around]) leave.push_back(i);
            }
            for (int64_t i : leave) map[i] = 0;
            if (leave.empty()) continue;
            changed = true;
            on.erase(std::remove_if(on.begin(), on.end(), [&](int64_t i) { return !map[i]; }), on.end());
        }
    }
}

struct Offset {
    int64_t step;
    double cost;
    int64_t down, right;
};

// Pixels of two maps in pairs, each pixel in one pair at most, no pair farther apart than the radius: as many
// pairs as can be, and of these choices one whose distances sum to least. Shortest augmenting paths, on
// reduced costs that never fall below 0; a pixel may also stay alone, which costs more than any pairs save.
class Matching {
  public:
    Matching(const Plane& plane, const std::vector<Offset>& offsets, double alone)
        : plane(plane), offsets(offsets), alone(alone), number(plane.cells(), -1) {}

    // Marks the pixels of `left` that are in a pair, and counts them.
    int64_t run(const Map& left, const std::vector<int64_t>& rights, Map& marked) {
        for (size_t j = 0; j < rights.size(); j++) number[rights[j]] = int64_t(j);
        neighbours(left);
        for (int64_t i : rights) number[i] = -1;
        const int64_t lefts = int64_t(pixels.size());
        above.assign(lefts, 0), below.assign(rights.size(), 0);
        partner.assign(lefts, -1), owner.assign(rights.size(), -1);
        from.assign(rights.size(), -1), reached.assign(rights.size(), 0), seen.assign(rights.size(), -1);
        done.assign(rights.size(), -1);
        begin();
        for (int64_t i = 0; i < lefts; i++)
            if (partner[i] < 0 && first[i] < first[i + 1]) search(i);
        int64_t pairs = 0;
        for (int64_t i = 0; i < lefts; i++)
            if (partner[i] >= 0) marked[pixels[i]] = 1, pairs++;
        return pairs;
    }

  private:
    // The place of a pixel in the plane without its border.
    int64_t place(int64_t i) const { return (i / plane.row - 1) * plane.width + i % plane.row - 1; }
    static int64_t draw(int64_t left, int64_t right) {
        return (left * 73856093 ^ right * 19349663) & (DRAWS - 1);
    }

    using Entry = std::pair<double, int64_t>;
    const Plane& plane;
    const std::vector<Offset>& offsets;
    const double alone;
    std::vector<int64_t> number, pixels, first, to, partner, owner, from, seen, done, scanned;
    std::vector<double> cost, above, below, reached;

    void neighbours(const Map& left) {
        pixels.clear(), to.clear(), cost.clear();
        first.assign(1, 0);
        for (int64_t y = 0; y < plane.height; y++)
            for (int64_t x = 0; x < plane.width; x++) {
                const int64_t i = plane.at(y, x);
                if (!left[i]) continue;
                pixels.push_back(i);
                for (const Offset& o : offsets) {
                    if (y + o.down < 0 || y + o.down >= plane.height) continue;
                    if (x + o.right < 0 || x + o.right >= plane.width) continue;
                    const int64_t j = number[i + o.step];
                    if (j >= 0) to.push_back(j), cost.push_back(o.cost + draw(y * plane.width + x, place(i + o.step)));
                }
                first.push_back(int64_t(to.size()));
            }
    }

    // Each pixel takes its nearest one where that is free.
    void begin() {
        for (size_t i = 0; i < pixels.size(); i++) {
            if (first[i] == first[i + 1]) continue;
            const auto least = std::min_element(cost.begin() + first[i], cost.begin() + first[i + 1]);
            const int64_t nearest = to[least - cost.begin()];
            above[i] = *least;
            if (owner[nearest] < 0) partner[i] = nearest, owner[nearest] = int64_t(i);
        }
    }

    void search(int64_t start) {
        std::priority_queue<Entry, std::vector<Entry>, std::greater<Entry>> queue;
        scanned.clear();
        // The best end so far: a free pixel on the right, or a left one that stays alone instead.
        double best = alone - above[start];
        int64_t end_right = -1, end_left = start, left = start;
        for (double distance = 0;;) {
            for (int64_t e = first[left]; e < first[left + 1]; e++) {
                const int64_t j = to[e];
                const double there = distance + std::max(0.0, cost[e] - above[left] - below[j]);
                if (there >= best || (seen[j] == start && reached[j] <= there)) continue;
                seen[j] = start, reached[j] = there, from[j] = left;
                if (owner[j] < 0) best = there, end_right = j, end_left = -1;
                else queue.emplace(there, j);
            }
            while (!queue.empty() && (done[queue.top().second] == start ||
                                      queue.top().first > reached[queue.top().second]))
                queue.pop();
            if (queue.empty() || queue.top().first >= best) break;
            const int64_t j = queue.top().second;
            distance = queue.top().first;
            queue.pop();
            done[j] = start, scanned.push_back(j);
            left = owner[j];
            if (distance + alone - above[left] < best)
                best = distance + alone - above[left], end_right = -1, end_left = left;
        }
        above[start] += best;
        for (int64_t j : scanned) {
            below[j] += reached[j] - best;
            above[owner[j]] += best - reached[j];
        }
        augment(start, end_right, end_left);
    }

    void augment(int64_t start, int64_t right, int64_t left) {
        if (right < 0) {
            if (left == start) return;
            right = partner[left], partner[left] = -1;
        }
        for (;;) {
            const int64_t i = from[right], before = partner[i];
            partner[i] = right, owner[right] = i;
            if (i == start) return;
            right = before;
        }
    }
};

static std::vector<Offset> within(double radius, const Plane& plane) {
    std::vector<Offset> found;
    const int64_t most = int64_t(radius);
    for (int64_t down = -most; down <= most; down++)
        for (int64_t right = -most; right <= most; right++) {
            const double distance = std::sqrt(double(down * down + right * right));
            if (distance <= radius)
                found.push_back({down * plane.row + right, std::rint(PER_PIXEL * distance) * DRAWS, down, right});
        }
    return found;
}

// Counts of one threshold: recalled, to recall, precise, found (see evaluation/contours.py).
static void count(const double* strength, double threshold, const std::vector<std::vector<int64_t>>& truths,
                  const Plane& plane, Matching& matching, bool thinned, int64_t* counts) {
    Map map(plane.cells(), 0), marked(plane.cells(), 0);
    for (int64_t y = 0; y < plane.height; y++)
        for (int64_t x = 0; x < plane.width; x++)
            map[plane.at(y, x)] = strength[y * plane.width + x] >= threshold;
    if (thinned) thin(map, plane);
    std::fill_n(counts, 4, 0);
    for (const auto& truth : truths) {
        counts[0] += matching.run(map, truth, marked);
        counts[1] += int64_t(truth.size());
    }
    for (int64_t i = 0; i < plane.cells(); i++) counts[2] += marked[i], counts[3] += map[i];
}

extern "C" void count_contours(const double* strength, const double* thresholds, const uint8_t* truth,
                               int64_t* counts, const Shape* shape) {
    const Plane plane(shape->height, shape->width);
    const int64_t size = shape->height * shape->width;
    std::vector<std::vector<int64_t>> truths(shape->annotators);
    for (int64_t a = 0; a < shape->annotators; a++)
        for (int64_t i = 0; i < size; i++)
            if (truth[a * size + i]) truths[a].push_back(plane.at(i / plane.width, i % plane.width));
    const auto offsets = within(shape->radius, plane);
#pragma omp parallel num_threads(shape->threads)
    {
        Matching matching(plane, offsets, 2 * std::rint(PER_PIXEL * 100 * shape->radius) * DRAWS);
#pragma omp for schedule(dynamic)
        for (int64_t t = 0; t < shape->thresholds; t++)
            count(strength, thresholds[t], truths, plane, matching, shape->thin, counts + 4 * t);
    }
}
