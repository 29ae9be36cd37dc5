import { compareStrings } from "../../finding.ts";
import type { RouteIntent, RouteMatchIntent } from "../../intent/intent.ts";
import { canonicalJson } from "../../intent/revision.ts";

/** A condition of a VirtualService on a text. */
export type StringMatch = { readonly exact: string } | { readonly prefix: string } | { readonly regex: string };

/** One of the `match` of an entry of a VirtualService: all of it must hold. */
export interface HttpMatch {
  readonly uri?: StringMatch;
  readonly method?: StringMatch;
  readonly headers?: Readonly<Record<string, StringMatch>>;
}

/** An entry of a policy, or a part of one, with matches that are tried one right after the other. */
export interface EntryMatches<Entry> {
  readonly entry: Entry;
  readonly matches: readonly HttpMatch[];
}

const PATH_RANKS = { Exact: 0, PathPrefix: 1, RegularExpression: 2 } as const;

/**
 * Istio takes the first match in the order of the list, the Gateway API the most specific one of all routes. So every
 * match gets its place, and an entry whose matches are apart comes more than once.
 */
export function orderedMatches<Entry extends RouteIntent>(routes: readonly Entry[]): readonly EntryMatches<Entry>[] {
  const all = routes.flatMap((entry) => entry.matches.map((match) => ({ entry, match })));
  all.sort((a, b) => compareMatches(a.match, b.match));
  const ordered: { readonly entry: Entry; readonly matches: HttpMatch[] }[] = [];
  for (const { entry, match } of all) {
    const last = ordered.at(-1);
    if (last?.entry === entry) last.matches.push(...httpMatches(match));
    else ordered.push({ entry, matches: [...httpMatches(match)] });
  }
  return ordered;
}

/** Matches of which one is enough, in an order that theirs does not change. */
export function httpMatchesOf(matches: readonly RouteMatchIntent[]): readonly HttpMatch[] {
  return [...matches].sort(compareMatches).flatMap(httpMatches);
}

/** The order of the Gateway API (HTTPRouteRule, `matches`); what it leaves open, by the text. */
function compareMatches(a: RouteMatchIntent, b: RouteMatchIntent): number {
  return (
    PATH_RANKS[a.path.type] - PATH_RANKS[b.path.type] ||
    b.path.value.length - a.path.value.length ||
    Number(a.method === undefined) - Number(b.method === undefined) ||
    b.headers.length - a.headers.length ||
    compareStrings(canonicalJson(a), canonicalJson(b))
  );
}

/** A prefix means whole elements of the path, and Istio's means characters: `/users` is `/users` and `/users/…`. */
function httpMatches({ path, method, headers }: RouteMatchIntent): readonly HttpMatch[] {
  const others = {
    ...(method !== undefined && { method: { exact: method } }),
    ...(headers.length > 0 && {
      headers: Object.fromEntries(
        headers.map(({ name, type, value }) => [name, type === "Exact" ? { exact: value } : { regex: value }]),
      ),
    }),
  };
  return uris(path).map((uri) => ({ ...(uri !== undefined && { uri }), ...others }));
}

function uris({ type, value }: RouteMatchIntent["path"]): readonly (StringMatch | undefined)[] {
  if (type === "Exact") return [{ exact: value }];
  if (type === "RegularExpression") return [{ regex: value }];
  return value === "/" ? [undefined] : [{ exact: value }, { prefix: `${value}/` }];
}
