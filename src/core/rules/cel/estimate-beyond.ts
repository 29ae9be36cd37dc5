import { COMPILE_BASE, COMPILE_FACTOR, patternSize } from "../library/pattern-size.ts";
import { ADDRESS_UNITS } from "../library/address.ts";
import { type Call, estimateCall, type Operand } from "./estimate-calls.ts";
import { add, fixed, multiply, PER_CHARACTER, PER_PATTERN_CHARACTER, type Range, scale } from "./estimate-range.ts";
import { CHARACTERS_A_UNIT, URL_UNITS, ZONE_UNITS } from "./standard-cost.ts";

const NOTHING: Range = fixed(0);
const traversal = (size: Range): Range => scale(size, PER_CHARACTER);

/** The most units that a call may cost here beyond what Kubernetes estimates, as a range from 0. */
export function estimateBeyond(call: Call): Range {
  return { min: 0, max: beyond(call).max };
}

function beyond(call: Call): Range {
  const { name, overload, target, arguments: parameters } = call;
  const [first] = parameters;
  if (overload.startsWith("url_get_")) return ofUrl(target);
  if (/^(?:ip|cidr)_to_string$/.test(overload)) return fixed(ADDRESS_UNITS[128]);
  if (overload.endsWith("_with_tz")) return fixed(ZONE_UNITS);
  if (/^(?:size_string|string_size|string_to_)/.test(overload))
    return add(reading(target ?? first), name === "url" ? ofUrl(target ?? first) : NOTHING);
  switch (name) {
    case "matches":
    case "find":
      return pattern(call);
    case "findAll":
      // Each character may be a match of its own.
      return add(pattern(call), target?.size ?? NOTHING);
    case "isURL":
      return ofUrl(first);
    case "_==_":
    case "_!=_":
      return add(...parameters.map(ofOpaque));
    case "isGreaterThan":
    case "isLessThan":
    case "compareTo":
      return ofOpaque(target);
    case "flatten":
      return target === undefined ? NOTHING : traversal(multiply(target.size, target.itemSize));
    case "ip.isCanonical":
    case "masked":
      return fixed(ADDRESS_UNITS[128]);
    case "format":
      return first === undefined ? NOTHING : scale(multiply(first.size, add(fixed(1), traversal(first.itemSize))), 2);
    case "join":
      return joined(call);
    case "replace":
      return replaced(call);
    case "_+_":
      return overload === "add_list" ? traversal(add(...parameters.map(({ size }) => size))) : NOTHING;
    default:
      return NOTHING;
  }
}

/** A text of any length, which cel-go counts as one unit. */
function reading(text: Operand | undefined): Range {
  return text === undefined ? NOTHING : scale(text.size, 1 / CHARACTERS_A_UNIT);
}

/** Comparing a value of a library with its like. */
function ofOpaque(operand: Operand | undefined): Range {
  if (operand?.type.kind !== "opaque") return NOTHING;
  if (operand.type.name === "kubernetes.URL") return ofUrl(operand);
  return operand.type.name === "kubernetes.Semver" ? traversal(operand.size) : NOTHING;
}

function ofUrl(text: Operand | undefined): Range {
  return add(text?.size ?? NOTHING, fixed(URL_UNITS));
}

/** The repetitions of a pattern, and compiling one that is not written out. */
function pattern({ overload, target, arguments: parameters }: Call): Range {
  const [text, regex] = target === undefined ? parameters : [target, ...parameters];
  if (text === undefined || regex === undefined) return NOTHING;
  const { node } = regex;
  const written = node.kind === "literal" && typeof node.value === "string" ? node.value : undefined;
  const size = written === undefined ? regex.size : fixed(patternSize(written));
  // Kubernetes estimates matches(text, pattern) as any other call, and counts it in full when it runs.
  const counted = overload === "matches" || written !== undefined ? size : NOTHING;
  const search = multiply(traversal(add(text.size, fixed(1))), scale(counted, PER_PATTERN_CHARACTER));
  return written === undefined ? add(search, fixed(COMPILE_BASE), scale(size, COMPILE_FACTOR)) : search;
}

/** The text is made from its parts twice. */
function joined({ target, arguments: [separator] }: Call): Range {
  if (target === undefined) return NOTHING;
  return traversal(multiply(target.size, add(target.itemSize, separator?.size ?? NOTHING)));
}

/** What is longer than what it stands for makes the text longer. */
function replaced(call: Call): Range {
  const [found, put] = call.arguments;
  if (found === undefined || put === undefined || put.size.max <= found.size.min) return NOTHING;
  return traversal(estimateCall(call).size ?? NOTHING);
}
