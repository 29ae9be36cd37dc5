import { CelError, type Timestamp } from "./values.ts";

/** A formatter costs some 30 microseconds to make; a text of a request must not be able to make many stay. */
const MAX_FORMATTERS = 64;
const formatters = new Map<string, Intl.DateTimeFormat>();

/** Intl knows the zones of IANA and takes the moment as a number, so nothing here asks for the time. */
function formatter(zone: string): Intl.DateTimeFormat {
  const known = formatters.get(zone);
  if (known !== undefined) {
    return known;
  }
  if (/^[+-]/.test(zone)) {
    throw new CelError(`unknown time zone ${zone}`);
  }
  try {
    const made = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      calendar: "gregory",
      numberingSystem: "latn",
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
      era: "short",
    });
    if (formatters.size >= MAX_FORMATTERS) {
      formatters.clear();
    }
    formatters.set(zone, made);
    return made;
  } catch {
    throw new CelError(`unknown time zone ${zone}`);
  }
}

function atoi(text: string): number {
  if (!/^[+-]?\d{1,9}$/.test(text)) {
    throw new CelError(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return Number(text);
}

/** Seconds that a zone, `Europe/Berlin` or `+02:00`, is ahead of UTC at that moment. Throws a CelError. */
export function offsetAt({ nanos }: Timestamp, zone: string): number {
  if (zone === "" || zone === "UTC") {
    return 0;
  }
  const colon = zone.indexOf(":");
  if (colon >= 0) {
    const hours = atoi(zone.slice(0, colon));
    const minutes = atoi(zone.slice(colon + 1));
    return hours * 3600 + (zone.startsWith("-") ? -minutes : minutes) * 60;
  }
  const seconds = Number((nanos - (((nanos % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n)) / 1_000_000_000n);
  const parts = new Map(
    formatter(zone)
      .formatToParts(seconds * 1000)
      .map(({ type, value }) => [type, value]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.get(type));
  const year = parts.get("era") === "BC" ? 1 - part("year") : part("year");
  const days = daysOf(year, part("month"), part("day"));
  return days * 86_400 + part("hour") * 3600 + part("minute") * 60 + part("second") - seconds;
}

/** Days since 1970 of a day of the Gregorian calendar; months count from 1. */
export function daysOf(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
