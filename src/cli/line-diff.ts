/** Texts of more lines than this are shown one after the other: the comparison is quadratic. */
const LINES_MAX = 500;

/** What to take from one text and add to get the other, line by line, as `diff` marks it. */
export function lineDiff(before: string, after: string): readonly string[] {
  const [left, right] = [before.split("\n"), after.split("\n")];
  if (Math.max(left.length, right.length) > LINES_MAX)
    return [...left.map((line) => `- ${line}`), ...right.map((line) => `+ ${line}`)];
  const common = commonLengths(left, right);
  const lines: string[] = [];
  let [row, column] = [0, 0];
  while (row < left.length || column < right.length) {
    const isSame = row < left.length && column < right.length && left[row] === right[column];
    const isRemoval =
      row < left.length && (column === right.length || at(common, row + 1, column) >= at(common, row, column + 1));
    if (isSame) lines.push(`  ${left[row]}`);
    else lines.push(isRemoval ? `- ${left[row]}` : `+ ${right[column]}`);
    if (isSame || isRemoval) row++;
    if (isSame || !isRemoval) column++;
  }
  return lines;
}

/** How many lines two ends of the texts have in common, by where they begin. */
function commonLengths(left: readonly string[], right: readonly string[]): readonly (readonly number[])[] {
  const lengths: number[][] = [];
  for (let row = left.length - 1; row >= 0; row--) {
    const current: number[] = [];
    for (let column = right.length - 1; column >= 0; column--) {
      current[column] =
        left[row] === right[column]
          ? at(lengths, row + 1, column + 1) + 1
          : Math.max(at(lengths, row + 1, column), current[column + 1] ?? 0);
    }
    lengths[row] = current;
  }
  return lengths;
}

function at(lengths: readonly (readonly number[])[], row: number, column: number): number {
  return lengths[row]?.[column] ?? 0;
}
