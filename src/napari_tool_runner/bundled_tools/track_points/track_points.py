"""Links points of successive frames to tracks."""

import argparse
import csv
import re
import sys

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

USUAL = 6  # pixels that a particle moves from frame to frame, where nobody says it


def read_points(path):
    """Return coordinates (time first), names of the other columns, and their texts."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header, *rows = csv.reader(file)
        columns = [header.index(n) for i in range(len(header)) if (n := f"axis-{i}") in header]
        rows = [row for row in rows if row]
        points = np.array([[float(row[i] or "nan") for i in columns] for row in rows])
        others = [i for i, name in enumerate(header) if i not in columns and name != "index"]
        features = [[row[i] for i in others] for row in rows]
    except (OSError, ValueError, IndexError) as error:
        sys.exit(f"{path} cannot be read as a table of points: {error}")
    if len(columns) < 3:
        sys.exit(
            f"{path} has no time, y and x that are known: its columns are {', '.join(header)}. "
            "Call them frame, (z,) y, x, or axis-0, axis-1, axis-2."
        )
    return points.reshape(-1, len(columns)), [header[i] for i in others], features


def link(ends, now, limits):
    """Return pairs (track, point) with the least sum of squared distances."""
    near = cKDTree(now).query_ball_point(ends, limits)
    rows = np.repeat(np.arange(len(ends)), [len(some) for some in near])
    columns = np.concatenate([np.array(some, int) for some in near])
    # who is out of reach of all others of a group has no say in it: groups are solved alone
    size = len(ends) + len(now)
    reach = coo_array((np.ones(len(rows)), (rows, columns + len(ends))), (size, size))
    _, group = connected_components(reach, directed=False)
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    alone, pairs = limits.max() ** 2 * 1.05, []
    for some in members:
        tracks, points = some[some < len(ends)], some[some >= len(ends)] - len(ends)
        if len(tracks) and len(points):
            found = assign(ends[tracks], now[points], limits[tracks], alone)
            pairs += [(tracks[i], points[j]) for i, j in found]
    return pairs


def assign(ends, now, limits, alone):
    """Return the pairs of one group; not linking costs `alone`."""
    squares = ((ends[:, None] - now[None]) ** 2).sum(axis=2)
    allowed = squares <= limits[:, None] ** 2
    # not linking costs as much as the longest allowed step, for either side
    cost = np.full((len(ends) + len(now),) * 2, alone / 2)
    cost[: len(ends), : len(now)] = np.where(allowed, squares, 1e6 * alone)
    cost[len(ends) :, len(now) :] = 0.0
    pairs = zip(*linear_sum_assignment(cost), strict=True)
    return [(i, j) for i, j in pairs if i < len(ends) and j < len(now) and allowed[i, j]]


def frames_of(times, gap):
    """Return in which frame each point is; moments that are no whole numbers are kept apart.

    Whole numbers that lie too far apart for `gap` frames missed are moments, too.
    """
    moments = np.unique(times)
    steps = np.diff(moments)
    step = steps[steps > 1e-6 * np.abs(times).max(initial=0)].min(initial=np.inf)
    whole = np.allclose(times, np.rint(times), rtol=0, atol=1e-6)
    if whole and (step <= gap + 1 or step == np.inf):
        if 1 < step < np.inf:
            print(f"note: times are {step:g} or more apart: frames between them count as missed")
        return np.rint(times).astype(int)
    told = f"note: times are {f'{step:g} or more apart' if whole else 'no whole frames'}"
    even = (moments - moments[0]) / step
    if np.abs(even - np.rint(even)).max() > 0.1:  # no step of all: one moment after the other
        print(f"{told} and not evenly apart: each is taken for a frame")
        return np.searchsorted(moments, times)
    print(f"{told}: a frame is taken every {step:.6g}")
    return np.rint((times - moments[0]) / step).astype(int)


def track(points, frames, distance, gap):
    """Return the track number of each point.

    `points`: places, of shape (N, D); `frames`: when, of shape (N,).
    """
    owner = np.full(len(points), -1)
    last = []  # the row of the last point of each track
    moments = np.unique(frames)
    for done, frame in enumerate(moments, 1):
        here = np.flatnonzero(frames == frame)
        live = [t for t, row in enumerate(last) if frame - frames[row] <= gap + 1]
        ends = np.array([last[t] for t in live], int)
        if len(ends) and len(here):
            # a track that was lost for a while may have moved further
            limits = distance * np.sqrt(frame - frames[ends])
            for i, j in link(points[ends], points[here], limits):
                owner[here[j]] = live[i]
                last[live[i]] = here[j]
        for row in here[owner[here] < 0]:
            owner[row] = len(last)
            last.append(row)
        print(f"{done}/{len(moments)}", flush=True)
    return owner


def track_apart(points, times, channels, distance, gap):
    """Return the track number of each point; those of different channels are linked apart."""
    owner, frames = np.full(len(points), -1), frames_of(times, gap)
    found, channel = np.unique(channels, return_inverse=True)
    if len(found) > 1:
        print(f"note: points of {len(found)} channels are linked apart")
    for done in range(len(found)):
        here = np.flatnonzero(channel == done)
        owner[here] = track(points[here], frames[here], distance, gap) + owner.max(initial=-1) + 1
    return owner


def read_axes(told, points):
    """Return a letter for each column of points: T, C, Z, Y, X."""
    count = points.shape[1]
    if count > 4:
        sys.exit(f"The points have {count} axes; time, depth, height and width are four.")
    if len(told) != count:
        if count > 2:
            print("note: nobody says what the axes of the points are: the first is taken for time")
        return ("T" + "ZYX"[4 - count :])[:count]
    if "T" not in told:
        sys.exit(
            f"The points have the axes {', '.join(told)} and no time: they are no movie. If one "
            "of them is time, name it so in the layer (axis_labels)."
        )
    return told


def pixel_steps(text, count, space):
    """Return the steps along the axes `space` of `count`, if they are µm, and if all are told."""
    told = re.findall(r"([0-9.e+-]+?)(um|px|s)(?:,|$)", text)
    told = [told[i] for i in space] if len(told) == count else []
    units = [unit for _, unit in told]
    last = units[-1] if units else ""
    if last != "um" and {*units} != {"px"}:
        if text:
            print(f"note: the sizes {text} do not fit together: only pixels are counted")
        return np.ones(len(space)), False, False
    steps = [float(size if unit == last else told[-1][0]) for size, unit in told]
    return np.array(steps), last == "um", {*units} == {last}


def channels_of(points, axes, features, values):
    """Return the channel of each point: of the axis C, else of a column that is called so."""
    if "C" in axes:
        return points[:, axes.index("C")]
    names = [name.strip().lower() for name in features]
    column = next((names.index(n) for n in ("channel", "ch", "c") if n in names), None)
    return np.array([0 if column is None else row[column] for row in values])


def exact(value):
    """Return a number as text that is read back as it was: counts and labels in full."""
    return f"{value:.15g}" if isinstance(value, (float, np.floating)) else str(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", required=True)
    parser.add_argument("--axes", default="")
    parser.add_argument("--tracks", required=True)
    parser.add_argument("--distance", type=float)
    parser.add_argument("--gap", type=int, default=1)
    parser.add_argument("--depth", type=float, default=0)
    parser.add_argument("--sizes", default="")
    parser.add_argument("--min-length", type=int, default=3)
    args = parser.parse_args()

    points, features, values = read_points(args.points)
    axes = read_axes(args.axes, points)
    placed = np.isfinite(points).all(axis=1)
    if not placed.all():
        missing = np.count_nonzero(~placed)
        print(f"note: points without a place (NaN) are left out: {missing} of {len(points)}")
        points, values = points[placed], [v for v, ok in zip(values, placed, strict=True) if ok]
    order = sorted(range(len(axes)), key=lambda i: "TC?QZYX".index(axes[i]))
    space = [i for i in order if axes[i] not in "TC"]
    names, times = [axes[i] for i in order], points[:, axes.index("T")]
    steps, known, every = pixel_steps(args.sizes, len(axes), space)
    if len(space) == 3 and args.depth:
        steps[0] = args.depth * steps[-1]
    elif len(space) == 3 and not every:
        print("note: slices are taken to lie as far apart as pixels are wide (“Depth of a slice”)")
    distance = args.distance
    if distance is None:
        distance = USUAL * (steps[-1] if known else 1.0)
        print(f"note: largest step {distance:.3g} {'µm' if known else 'px'}")
    elif not known:
        print("note: nobody says how large a pixel is: the largest step is in pixels")
    channels = channels_of(points, axes, features, values)
    places = points[:, space] * (steps if known else steps / steps[-1])
    owner = track_apart(places, times, channels, distance, args.gap)
    lengths = np.bincount(owner, minlength=1)
    kept = [row for row in np.lexsort((times, owner)) if lengths[owner[row]] >= args.min_length]
    numbers = {old: new for new, old in enumerate(dict.fromkeys(owner[kept].tolist()))}
    with open(args.tracks, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        taken = {"ID", *names}  # feature-: as the tables of layers have it
        table.writerow(["ID", *names, *(f"feature-{n}" if n in taken else n for n in features)])
        for row in kept:
            place = [exact(value) for value in points[row, order]]
            table.writerow([numbers[owner[row]], *place, *values[row]])
    print(f"{len(numbers)} track{'' if len(numbers) == 1 else 's'}")


if __name__ == "__main__":
    main()
