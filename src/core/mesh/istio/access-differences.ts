import { type Finding, finding } from "../../finding.ts";
import type { AuthorizationIntent, Intent, RateLimitIntent, RequestIntent } from "../../intent/intent.ts";
import { list } from "../../text.ts";

/** What Istio cannot do, and does differently, at the Pods that are asked. */
export function accessDifferences({ rateLimit, mtls, authorization }: Intent): readonly Finding[] {
  return [
    ...(rateLimit === undefined ? [] : countsTogether(rateLimit)),
    ...(authorization === undefined || mtls?.mode === "Strict" ? [] : withoutIdentity(authorization)),
    ...(authorization === undefined ? [] : asSent(authorization)),
  ];
}

/** Envoy's local limit has descriptors, which speak of headers and addresses, and none of the identity of a client. */
function countsTogether({ perClient, overrides }: RateLimitIntent): readonly Finding[] {
  const fields = [...(perClient === undefined ? [] : ["perClient"]), ...(overrides.length === 0 ? [] : ["overrides"])];
  return fields.map((field) =>
    finding("FL310", `spec.rateLimit.${field}`, {
      message: "Istio's limit of a Pod cannot tell clients apart by their identity",
      fix: "remove it; requestsPerSecond limits all clients together",
    }),
  );
}

/** For an allow it is as it should be: who does not say who he is does not get in. */
function withoutIdentity({ deny = [] }: AuthorizationIntent): readonly Finding[] {
  const fields = new Set(
    deny.flatMap(({ from }) => [
      ...(from === undefined || from.serviceAccounts.length === 0 ? [] : ["serviceAccounts"]),
      ...(from === undefined || from.namespaces.length === 0 ? [] : ["namespaces"]),
    ]),
  );
  if (fields.size === 0) return [];
  return [
    finding("FL311", "spec.authorization.deny", {
      message: `Clients that send plain text have no identity, so ${list([...fields])} do not keep them out`,
      fix: "add mtls: {mode: Strict}, or deny by cidrs",
    }),
  ];
}

/**
 * `pathNormalization` of the mesh is BASE where nothing else is said, which leaves `//` and `%2F` as they are, and
 * servers do not. An `allow` that such a path misses keeps it out; the prefix `/` is the beginning of every path.
 */
function asSent({ deny = [] }: AuthorizationIntent): readonly Finding[] {
  const isNarrow = ({ type, value }: RequestIntent["paths"][number]): boolean => type === "Exact" || value !== "/";
  const index = deny.findIndex(({ to }) => to?.paths.some(isNarrow));
  if (index === -1) return [];
  return [
    finding("FL311", `spec.authorization.deny[${index}].to.paths`, {
      message: "Istio compares paths as sent: //admin is not /admin",
      fix: "list in allow what may be sent, or set pathNormalization of the mesh to DECODE_AND_MERGE_SLASHES",
    }),
  ];
}
