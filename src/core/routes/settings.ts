import { readRecord } from "../admission/record.ts";
import { type Finding, finding } from "../finding.ts";
import type { Intent, RouteIntent } from "../intent/intent.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import type { Precedence } from "../intent/precedence.ts";
import { isRetried, isUnretried, leavesService, retryOnRoute, timeoutOnRoute } from "../intent/routes.ts";
import { annotationsOf, type StringMap } from "../kubernetes.ts";
import type { MeshCompiler, TargetContext } from "../mesh/mesh.ts";
import { GATEWAY_HTTP_ROUTE, RECORD_ANNOTATION } from "../names.ts";
import { list, quote } from "../text.ts";

/** A Service, with who decides each of its sections. */
export interface ServiceInput {
  readonly policy: CompiledPolicy;
  readonly winners: Precedence["winners"];
  readonly service: TargetContext;
  readonly mesh: MeshCompiler;
}

/** The annotations of the generated routes of one Service. */
export interface RouteSettings {
  readonly of: (entry: RouteIntent) => StringMap;
  /** Of the route that takes the rest: none, unless the retries of the Service have to stand there. */
  readonly rest: StringMap;
  readonly findings: readonly Finding[];
}

/** Family of settings that a route takes from its Service as a whole or not at all. */
type Family = "retry" | "timeouts";

/**
 * A route that has any setting of a family takes none of it from its Service, so each route gets a family whole, or
 * nothing of it (docs/policy.md, Routes of a policy).
 */
export function routeSettings(input: ServiceInput): RouteSettings {
  const { policy, winners, service, mesh } = input;
  const retry = winners.retry?.intent.retry;
  const timeout = winners.timeout?.intent.timeout;
  const people = peoplesKeys(input, "retry");
  // What people wrote on the Service holds there, so the policy's retries do not stand beside it on the routes.
  const isMoved = people.length === 0 && leavesService(retry, policy.intent.routes);
  const compile = (intent: Intent): StringMap =>
    Object.assign({}, ...mesh.compile(intent, GATEWAY_HTTP_ROUTE, service.version).groups.map((it) => it.annotations));
  const of = (entry: RouteIntent): StringMap => {
    const ownRetry = entry.retry !== undefined || isMoved ? retryOnRoute(entry.retry, retry) : undefined;
    const ownTimeout = entry.timeout && timeoutOnRoute(entry.timeout, timeout);
    return compile({ ...(isRetried(ownRetry) && { retry: ownRetry }), ...(ownTimeout && { timeout: ownTimeout }) });
  };
  return {
    of,
    rest: isMoved && retry !== undefined ? compile({ retry }) : {},
    findings: [...retriedByHand(input, people), ...switchedOff(input, of), ...movedGrpcCodes(input, isMoved)],
  };
}

/** Keys of a family on the Service that stay whatever policies say. */
function peoplesKeys({ winners, service, mesh }: ServiceInput, family: Family): readonly string[] {
  const decides = family === "retry" ? winners.retry : winners.timeout;
  if (decides?.spec.conflictResolution === "Override") return [];
  const annotations = annotationsOf(service.object);
  const ours = readRecord(annotations[RECORD_ANNOTATION], service.version)?.keys ?? {};
  return Object.keys(annotations)
    .filter((key) => mesh.groupOf(key) === family && ours[key] !== annotations[key])
    .sort();
}

function retriedByHand({ policy, winners, service }: ServiceInput, people: readonly string[]): readonly Finding[] {
  if (people.length === 0) return [];
  const elsewhere = winners.retry === undefined ? "put them into spec.retry" : "set conflictResolution: Override";
  const join = winners.retry === undefined ? "and" : "or";
  return entriesOf(policy).flatMap(([entry, at]) =>
    isUnretried(entry)
      ? [
          finding("FL317", `${at}.retry.maxAttempts`, {
            message: `Service ${service.key.name} has ${list(people)} by hand, so ${quote(entry.name)} is retried all the same: a route has no off value`,
            fix: `remove ${people.length === 1 ? "it" : "them"} from the manifest ${join} ${elsewhere}`,
          }),
        ]
      : [],
  );
}

/** Values of people on the Service that do not reach an entry with settings of its own. */
function switchedOff(input: ServiceInput, of: RouteSettings["of"]): readonly Finding[] {
  const [retries, timeouts] = [peoplesKeys(input, "retry"), peoplesKeys(input, "timeouts")];
  return entriesOf(input.policy).flatMap(([entry, at]) => {
    const annotations = of(entry);
    const families = [
      { section: "retry", keys: isRetried(entry.retry) ? retries : [] },
      { section: "timeout", keys: entry.timeout === undefined ? [] : timeouts },
    ];
    return families.flatMap(({ section, keys }) => {
      const lost = keys.filter((key) => annotations[key] === undefined);
      if (lost.length === 0) return [];
      return [
        finding("FL313", `${at}.${section}`, {
          message: `It switches ${list(lost)} off, which people wrote on Service ${input.service.key.name}`,
          fix: `set it in ${at}.${section} too, where it is wanted`,
        }),
      ];
    });
  });
}

/** Of another policy; for this one the mesh says it (mesh/linkerd/compile.ts). */
function movedGrpcCodes({ policy, winners: { retry }, service }: ServiceInput, isMoved: boolean): readonly Finding[] {
  const codes = retry?.intent.retry?.grpcCodes ?? [];
  if (!isMoved || retry === undefined || retry === policy || codes.length === 0) return [];
  return [
    finding("FL311", "spec.routes", {
      message: `grpcCodes of ResiliencePolicy ${retry.name} no longer act on Service ${service.key.name}: its retries move to HTTPRoutes`,
      fix: "give the entry without retries a retry, or retry on statusCodes",
    }),
  ];
}

function entriesOf({ intent }: CompiledPolicy): readonly (readonly [RouteIntent, string])[] {
  return (intent.routes ?? []).map((entry, index) => [entry, `spec.routes[${index}]`] as const);
}
