import { createHash } from "node:crypto";
import type { KubernetesObject } from "../core/kubernetes.ts";

export interface PolicyEvent {
  readonly regarding: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    /** `kubectl describe` shows only Events that carry the uid of the object. */
    readonly uid?: string;
  };
  readonly type: "Normal" | "Warning";
  /** One word, such as `Repaired`. */
  readonly reason: string;
  /** The same words for the same thing: what differs each time (a number, a time) makes another Event. */
  readonly message: string;
  /** What led to it, for whoever looks for its trace; 32 hexadecimal digits. Does not tell Events apart. */
  readonly traceId?: string;
}

/** One Event as it is repeated. */
export interface Series {
  count: number;
  readonly firstMs: number;
  lastMs: number;
}

/** Who says so, in Events and in managedFields. */
export const EVENT_SOURCE = "fairlead";
/** On Events only: a trace id on a target would be a write of its own. */
const TRACE_ANNOTATION = "fairlead.dev/trace-id";
/** Limit of a note in events.k8s.io (pkg/apis/core/validation/events.go). */
const MESSAGE_LENGTH_MAX = 1_024;
/** Names of objects, in characters (RFC 1123 subdomain). */
const NAME_LENGTH_MAX = 253;
/** 64 bits: among 4,096 Events no two share one. */
const HASH_LENGTH = 16;

interface Details {
  readonly hash: string;
  readonly series: Series;
  readonly reportingInstance: string;
}

/** The core/v1 Event, whole. */
export function toObject(event: PolicyEvent, { hash, series, reportingInstance }: Details): KubernetesObject {
  const { regarding, type, reason, message, traceId } = event;
  const body = {
    apiVersion: "v1",
    kind: "Event",
    metadata: {
      namespace: regarding.namespace,
      name: eventName(regarding.name, hash),
      ...(traceId !== undefined && { annotations: { [TRACE_ANNOTATION]: traceId } }),
    },
    involvedObject: regarding,
    type,
    reason,
    message,
    ...timesOf(series),
    source: { component: EVENT_SOURCE },
    reportingComponent: EVENT_SOURCE,
    reportingInstance,
  };
  return body;
}

/** The name of an object, cut where it must be, and the hash of the Event: a valid name again. */
export function eventName(objectName: string, hash: string): string {
  const cut = objectName.slice(0, NAME_LENGTH_MAX - hash.length - 1).replace(/[.-]+$/, "");
  return `${cut}.${hash}`;
}

/** Tells Events apart: the object, the type, the reason and the message. */
export function hashOf({ regarding, type, reason, message }: PolicyEvent): string {
  const text = JSON.stringify([...identityOf(regarding), type, reason, message]);
  return createHash("sha256").update(text).digest("hex").slice(0, HASH_LENGTH);
}

function identityOf({ apiVersion, kind, namespace, name, uid }: PolicyEvent["regarding"]): readonly string[] {
  return [apiVersion, kind, namespace, name, uid ?? ""];
}

/** As `kubectl describe` shows them: "3s (x4 over 5m)". */
export function timesOf({ count, firstMs, lastMs }: Series): object {
  return { count, firstTimestamp: timestamp(firstMs), lastTimestamp: timestamp(lastMs) };
}

/** metav1.Time has whole seconds. */
function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** On one line, cut when long. */
export function oneLine(message: string): string {
  const text = message.replace(/[\s\p{Cc}]+/gu, " ").trim();
  return text.length <= MESSAGE_LENGTH_MAX ? text : `${text.slice(0, MESSAGE_LENGTH_MAX - 1)}…`.toWellFormed();
}

/** Events of one object and type share their limit: news does not use up the place of warnings. */
export function spamKeyOf({ regarding, type }: PolicyEvent): string {
  return JSON.stringify([...identityOf(regarding), type]);
}
