/**
 * What Istio does with the objects that it gets, read anew from its documentation and from Envoy's, and not from what
 * writes them: which entry of a VirtualService a request meets, what is retried there, and what shuts an endpoint out.
 */

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Times in milliseconds. */
export interface RequestSettings {
  readonly attempts: number;
  readonly perTryMs: number | undefined;
  readonly statusCodes: ReadonlySet<number>;
  readonly grpcCodes: ReadonlySet<string>;
  readonly timeoutMs: number | undefined;
  readonly abort: readonly [percent: number, status: number] | undefined;
  readonly delay: readonly [percent: number, ms: number] | undefined;
  /** `host` or `host:port` with its part of the requests, 0 to 1; those with none are left out. */
  readonly shares: Readonly<Record<string, number>>;
}

type Text = { readonly exact?: string; readonly prefix?: string; readonly regex?: string };

interface Match {
  readonly uri?: Text;
  readonly method?: Text;
  readonly headers?: Readonly<Record<string, Text>>;
}

interface Destination {
  readonly destination: { readonly host: string; readonly port?: { readonly number: number } };
  readonly weight?: number;
}

export interface Http {
  readonly name: string;
  readonly match?: readonly Match[];
  readonly route: readonly Destination[];
  readonly timeout?: string;
  readonly retries?: { readonly attempts: number; readonly perTryTimeout?: string; readonly retryOn?: string };
  readonly fault?: {
    readonly abort?: { readonly httpStatus: number; readonly percentage: { readonly value: number } };
    readonly delay?: { readonly fixedDelay: string; readonly percentage: { readonly value: number } };
  };
}

const GRPC = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"];
/** Words of `retryOn` that stand for no answer of a server. */
const CONDITIONS = ["connect-failure", "refused-stream", "reset", "retriable-status-codes"];

/** The first entry with a match that fits, and one without matches fits always. */
export function settingsFor(http: readonly Http[], request: Request): RequestSettings {
  const entry = http.find(({ match }) => match === undefined || match.some((one) => fits(one, request)));
  if (entry?.retries === undefined) throw new Error(`No entry with retries for ${JSON.stringify(request)}`);
  const { attempts, perTryTimeout, retryOn = "" } = entry.retries;
  const words = attempts === 0 ? [] : retryOn.split(",");
  const { abort, delay } = entry.fault ?? {};
  return {
    attempts,
    perTryMs: perTryTimeout === undefined ? undefined : protobufMs(perTryTimeout),
    statusCodes: new Set(words.flatMap(statusesOf)),
    grpcCodes: new Set(words.filter((word) => GRPC.includes(word))),
    timeoutMs: entry.timeout === undefined ? undefined : protobufMs(entry.timeout),
    abort: abort && [abort.percentage.value, abort.httpStatus],
    shares: sharesOf(entry.route),
    delay: delay && [delay.percentage.value, protobufMs(delay.fixedDelay)],
  };
}

/** A single destination gets everything, whatever its weight; of several an absent weight is none. */
function sharesOf(route: readonly Destination[]): Readonly<Record<string, number>> {
  const sum = route.reduce((total, { weight = 0 }) => total + weight, 0);
  if (route.length > 1 && sum === 0) throw new Error("Istio refuses weights that are all 0");
  return Object.fromEntries(
    route.flatMap(({ destination: { host, port }, weight = 0 }) => {
      const share = route.length === 1 ? 1 : weight / sum;
      return share === 0 ? [] : [[port === undefined ? host : `${host}:${port.number}`, share] as const];
    }),
  );
}

function statusesOf(word: string): readonly number[] {
  if (word === "5xx") return range(500, 599);
  if (word === "gateway-error") return range(502, 504);
  if (/^[0-9]{3}$/.test(word)) return [Number(word)];
  if (!GRPC.includes(word) && !CONDITIONS.includes(word)) throw new Error(`Envoy knows no "${word}" in retryOn`);
  return [];
}

export function range(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

/** Protobuf's JSON form; Istio takes whole milliseconds of at least one. */
export function protobufMs(text: string): number {
  const found = /^([0-9]+)(?:\.([0-9]{3}))?s$/.exec(text);
  const ms = Number(found?.[1]) * 1_000 + Number(found?.[2] ?? 0);
  if (!(ms >= 1)) throw new Error(`Istio refuses the duration "${text}"`);
  return ms;
}

function fits({ uri, method, headers = {} }: Match, request: Request): boolean {
  return (
    fitsText(uri, request.path) &&
    fitsText(method, request.method) &&
    Object.entries(headers).every(([name, text]) => {
      const value = request.headers[name];
      return value !== undefined && fitsText(text, value);
    })
  );
}

/** A prefix is one of characters; a regular expression must take the whole text. */
function fitsText(wanted: Text | undefined, found: string): boolean {
  if (wanted === undefined) return true;
  if (wanted.exact !== undefined) return found === wanted.exact;
  if (wanted.prefix !== undefined) return found.startsWith(wanted.prefix);
  return new RegExp(`^(?:${wanted.regex})$`, "u").test(found);
}
