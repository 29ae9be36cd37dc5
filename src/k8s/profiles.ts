import type { KubernetesObject } from "../core/kubernetes.ts";
import { isActiveProfile } from "../core/service-profile.ts";
import type { ServiceProfileInfo } from "../core/world.ts";
import type { Change } from "./change.ts";
import type { WatchHandler } from "./watch-options.ts";

const NONE: readonly ServiceProfileInfo[] = Object.freeze([]);

/** ServiceProfiles by the service they are for: `service.namespace.svc`, the name without the cluster domain. */
export class ProfileIndex {
  readonly #byHost = new Map<string, readonly ServiceProfileInfo[]>();

  for(service: string, namespace: string): readonly ServiceProfileInfo[] {
    if (this.#byHost.size === 0) return NONE;
    return this.#byHost.get(`${service}.${namespace}.svc`) ?? NONE;
  }

  set(profile: ServiceProfileInfo): void {
    this.#byHost.set(hostOf(profile.name), [...this.#without(profile.namespace, profile.name), profile]);
  }

  delete(namespace: string, name: string): void {
    const rest = this.#without(namespace, name);
    if (rest.length === 0) this.#byHost.delete(hostOf(name));
    else this.#byHost.set(hostOf(name), rest);
  }

  #without(namespace: string, name: string): readonly ServiceProfileInfo[] {
    const profiles = this.#byHost.get(hostOf(name)) ?? NONE;
    return profiles.filter((profile) => profile.namespace !== namespace || profile.name !== name);
  }
}

export function toServiceProfile(object: KubernetesObject): ServiceProfileInfo {
  return {
    namespace: object.metadata?.namespace ?? "",
    name: object.metadata?.name ?? "",
    active: isActiveProfile(object),
  };
}

function hostOf(profileName: string): string {
  return profileName.split(".", 3).join(".");
}

/** Keeps the ServiceProfiles, and tells of each change. */
export function profileHandler(profiles: ProfileIndex, emit: (change: Change) => void): WatchHandler {
  return {
    set: (object) => {
      const profile = toServiceProfile(object);
      profiles.set(profile);
      emit({ type: "serviceProfile", namespace: profile.namespace });
    },
    delete: (namespace, name) => {
      profiles.delete(namespace, name);
      emit({ type: "serviceProfile", namespace });
    },
  };
}
