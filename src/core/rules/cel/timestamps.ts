import { INT_MAX, INT_MIN } from "./parser-literals.ts";
import { daysOf, offsetAt } from "./timestamps-zones.ts";
import { CelError, Duration, Timestamp, type Value } from "./values.ts";

const SECOND = 1_000_000_000n;
/** Seconds since 1970 of the first second of the year 1 and the last of 9999: the range of google.protobuf.Timestamp. */
const FIRST_SECOND = -62_135_596_800n;
const LAST_SECOND = 253_402_300_799n;
const DAY = 86_400;

export function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}

/** Throws a CelError outside of the years 1 to 9999. */
export function timestampOf(nanos: bigint, offsetSeconds = 0): Timestamp {
  const seconds = floorDivide(nanos, SECOND);
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND) {
    throw new CelError("timestamp overflow");
  }
  return new Timestamp(nanos, offsetSeconds);
}

/** Throws a CelError beyond 64 bits of nanoseconds, about 292 years. */
export function durationOf(nanos: bigint): Duration {
  if (nanos > INT_MAX || nanos < INT_MIN) {
    throw new CelError("integer overflow");
  }
  return new Duration(nanos);
}

export function addTimes(a: Value, b: Value): Value {
  if (a instanceof Duration && b instanceof Duration) {
    return durationOf(a.nanos + b.nanos);
  }
  if (a instanceof Timestamp && b instanceof Duration) {
    return timestampOf(a.nanos + b.nanos, a.offsetSeconds);
  }
  if (a instanceof Duration && b instanceof Timestamp) {
    return addTimes(b, a);
  }
  throw new CelError("no such overload");
}

export function subtractTimes(a: Value, b: Value): Value {
  if (a instanceof Timestamp && b instanceof Duration) {
    return timestampOf(a.nanos - b.nanos, a.offsetSeconds);
  }
  if (a instanceof Timestamp && b instanceof Timestamp) {
    // cel-go asks of the whole seconds first whether they fit.
    durationOf((floorDivide(a.nanos, SECOND) - floorDivide(b.nanos, SECOND)) * SECOND);
    return durationOf(a.nanos - b.nanos);
  }
  if (a instanceof Duration && b instanceof Duration) {
    return durationOf(a.nanos - b.nanos);
  }
  throw new CelError("no such overload");
}

export interface CalendarTime {
  readonly year: number;
  /** From 1. */
  readonly month: number;
  /** From 1. */
  readonly day: number;
  readonly hours: number;
  readonly minutes: number;
  readonly seconds: number;
  /** Since the second began. */
  readonly nanos: number;
  /** Days since 1970. */
  readonly days: number;
}

/** A moment as a clock shows it that is so many seconds ahead of UTC. */
export function calendarTime({ nanos }: Timestamp, offsetSeconds: number): CalendarTime {
  const second = floorDivide(nanos, SECOND);
  const local = Number(second) + offsetSeconds;
  const days = Math.floor(local / DAY);
  const rest = local - days * DAY;
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9);
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
    hours: Math.floor(rest / 3600),
    minutes: Math.floor(rest / 60) % 60,
    seconds: rest % 60,
    nanos: Number(nanos - second * SECOND),
    days,
  };
}

const TIMESTAMP = /^(\d{4})-(\d\d)-(\d\d)T(\d\d?):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))$/;
const DAYS_OF_MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function isDay(year: number, month: number, day: number): boolean {
  const isLeapYear = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  const days = month === 2 && isLeapYear ? 29 : (DAYS_OF_MONTH[month - 1] ?? 0);
  return day >= 1 && day <= days;
}

/** Of a text as in RFC 3339, to the nanosecond; Go lets an hour have one digit. Undefined: it is none. Throws a CelError outside of the years 1 to 9999. */
export function parseTimestamp(text: string): Timestamp | undefined {
  const found = TIMESTAMP.exec(text);
  if (found === null) {
    return undefined;
  }
  const [year = 0, month = 0, day = 0, hours = 0, minutes = 0, seconds = 0] = found.slice(1, 7).map(Number);
  const [, , , , , , , fraction = "", sign, zoneHours, zoneMinutes] = found;
  const zone = [Number(zoneHours ?? 0), Number(zoneMinutes ?? 0)] as const;
  if (!isDay(year, month, day) || hours > 23 || minutes > 59 || seconds > 59 || zone[0] > 24 || zone[1] > 60) {
    return undefined;
  }
  const offset = (zone[0] * 3600 + zone[1] * 60) * (sign === "-" ? -1 : 1);
  const total = daysOf(year, month, day) * DAY + hours * 3600 + minutes * 60 + seconds - offset;
  return timestampOf(BigInt(total) * SECOND + BigInt(fraction.slice(0, 9).padEnd(9, "0")), offset);
}

/** In the zone it was written in, with as many digits of the second as it needs. */
export function formatTimestamp(timestamp: Timestamp): string {
  const { year, month, day, hours, minutes, seconds, nanos } = calendarTime(timestamp, timestamp.offsetSeconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  const fraction = nanos === 0 ? "" : `.${String(nanos).padStart(9, "0").replace(/0+$/, "")}`;
  const ahead = Math.abs(timestamp.offsetSeconds) / 60;
  const sign = timestamp.offsetSeconds < 0 ? "-" : "+";
  const zone = ahead === 0 ? "Z" : `${sign}${two(Math.floor(ahead / 60))}:${two(ahead % 60)}`;
  const date = `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}`;
  return `${date}T${two(hours)}:${two(minutes)}:${two(seconds)}${fraction}${zone}`;
}

const UNITS: Readonly<Record<string, bigint>> = {
  h: 3600n * SECOND,
  m: 60n * SECOND,
  s: SECOND,
  ms: 1_000_000n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ns: 1n,
};
const DURATION = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:h|ms|m|s|us|µs|μs|ns))+$/;
const PART = /(\d*)\.?(\d*)(h|ms|m|s|us|µs|μs|ns)/g;

/** Of a text as Go writes durations: `1h30m`, `-.5s`. Undefined: it is none, or beyond 64 bits of nanoseconds. */
export function parseDuration(text: string): Duration | undefined {
  if (/^[+-]?0$/.test(text)) {
    return new Duration(0n);
  }
  if (!DURATION.test(text)) {
    return undefined;
  }
  let nanos = 0n;
  for (const [, whole = "", fraction = "", unit = ""] of text.matchAll(PART)) {
    const size = UNITS[unit] ?? 0n;
    nanos += BigInt(whole) * size + (BigInt(fraction) * size) / 10n ** BigInt(fraction.length);
  }
  const signed = text.startsWith("-") ? -nanos : nanos;
  return signed > INT_MAX || signed < INT_MIN ? undefined : new Duration(signed);
}

/** In seconds, without an exponent: `5400s`, `0.0000001s`. */
export function formatDuration({ nanos }: Duration): string {
  const seconds = Number(nanos / SECOND) + Number(nanos % SECOND) / 1e9;
  const text = String(seconds);
  return `${text.includes("e") ? seconds.toFixed(9).replace(/0+$/, "") : text}s`;
}

/** One part of the calendar time in a zone, all of them counted as CEL does: months and days of the week from 0. */
export function partOf(part: string, timestamp: Timestamp, zone: string): bigint {
  const time = calendarTime(timestamp, offsetAt(timestamp, zone));
  switch (part) {
    case "getFullYear":
      return BigInt(time.year);
    case "getMonth":
      return BigInt(time.month - 1);
    case "getDate":
      return BigInt(time.day);
    case "getDayOfMonth":
      return BigInt(time.day - 1);
    case "getDayOfYear":
      return BigInt(time.days - daysOf(time.year, 1, 1));
    case "getDayOfWeek":
      // 1970 began on a Thursday.
      return BigInt((((time.days + 4) % 7) + 7) % 7);
    case "getHours":
      return BigInt(time.hours);
    case "getMinutes":
      return BigInt(time.minutes);
    case "getSeconds":
      return BigInt(time.seconds);
    default:
      return BigInt(Math.floor(time.nanos / 1e6));
  }
}
