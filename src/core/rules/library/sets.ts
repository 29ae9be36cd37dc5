import type { Library } from "../cel/library.ts";
import { BOOL, type Cost, declare, listOf, plain, sizeOf } from "./define.ts";
import { includes, type List } from "./elements.ts";

const T = listOf({ kind: "parameter", name: "T" });

/** cel-go's ext/sets.go. */
export const sets: Library = {
  functions: [
    declare("sets.contains", plain({ ...pair("contains", 1), call: contains })),
    declare(
      "sets.equivalent",
      plain({ ...pair("equivalent", 2), call: (a: List, b: List) => contains(a, b) && contains(b, a) }),
    ),
    declare("sets.intersects", plain({ ...pair("intersects", 1), call: intersects })),
  ],
};

/** Every element of one list is compared with every one of the other, `times` times. */
function pair(name: string, times: number) {
  const cost: Cost = ([a, b]) => 1 + sizeOf(a) * sizeOf(b) * times;
  return { id: `list_sets_${name}_list`, parameters: [T, T], result: BOOL, cost };
}

function contains(list: List, part: List): boolean {
  return part.every((element) => includes(list, element));
}

function intersects(a: List, b: List): boolean {
  return a.some((element) => includes(b, element));
}
