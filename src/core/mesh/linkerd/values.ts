import { parseDuration, parsePositiveDuration, parseU32Duration } from "./duration.ts";
import { KEY_SPECS, type LinkerdKey, type ValueKind } from "./keys.ts";
import { type GrpcCode, parseGrpcList, parseStatusList, type StatusRange } from "./lists.ts";
import { parseBool, parseFraction, parseJitterRatio, parseUnsigned, U16_MAX, U32_MAX } from "./numbers.ts";
import { accepted, type Parsed, rejected, trimWhiteSpace } from "./text.ts";
import { type LinkerdVersion, supports } from "./version.ts";

export type AccrualMode = "consecutive" | "unified";

/** What a value of each kind becomes; durations are milliseconds. */
interface ValueTypes {
  accrualMode: AccrualMode;
  u16: number;
  u32: number;
  jitterRatio: number;
  fraction: number;
  bool: boolean;
  duration: number;
  positiveDuration: number;
  u32Duration: number;
  statusList: readonly StatusRange[];
  grpcList: readonly GrpcCode[];
}

export type ValueOf<Key extends LinkerdKey> = ValueTypes[(typeof KEY_SPECS)[Key]["kind"]];

type Parser<Value> = (text: string, version: LinkerdVersion) => Parsed<Value>;

const PARSERS: { readonly [Kind in ValueKind]: Parser<ValueTypes[Kind]> } = {
  accrualMode: parseAccrualMode,
  // retry.linkerd.io/limit is the one u16, and it is trimmed in no version.
  u16: (text) => parseUnsigned(text, U16_MAX),
  u32: (text, version) => parseUnsigned(trimNumber(text, version), U32_MAX),
  jitterRatio: (text, version) => parseJitterRatio(trimNumber(text, version)),
  fraction: (text, version) => parseFraction(trimNumber(text, version)),
  bool: parseBool,
  duration: parseDuration,
  positiveDuration: parsePositiveDuration,
  u32Duration: parseU32Duration,
  statusList: parseStatusList,
  grpcList: parseGrpcList,
};

/** What Linkerd makes of one value by itself; read.ts has the rules between values. */
export function parseValue<Key extends LinkerdKey>(
  key: Key,
  text: string,
  version: LinkerdVersion,
): Parsed<ValueOf<Key>> {
  const kind: (typeof KEY_SPECS)[Key]["kind"] = KEY_SPECS[key].kind;
  return PARSERS[kind](text, version);
}

/** `parse_accrual_config`: compared as it is, case and spaces included. */
function parseAccrualMode(text: string, version: LinkerdVersion): Parsed<AccrualMode> {
  if (text === "consecutive") return accepted(text);
  if (!supports(version, "unifiedAccrual")) return rejected(text, "consecutive, the one mode of this version");
  return text === "unified" ? accepted(text) : rejected(text, "consecutive or unified, in lower case, without spaces");
}

function trimNumber(text: string, version: LinkerdVersion): string {
  return supports(version, "trimmedNumbers") ? trimWhiteSpace(text) : text;
}
