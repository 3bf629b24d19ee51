/** Who is signed in. The session itself is a cookie that no script can read. */

import { api, ask, onSignedOut, Refusal } from "../api/client";
import type { Schemas } from "../api/client";
import { language } from "../i18n/index.svelte";
import type { Locale } from "../i18n/index.svelte";
import { methods } from "./methods";

export type User = Schemas["UserView"];

class Session {
  /** Undefined until it is known, null: nobody. */
  user = $state.raw<User | null>();
  /** It ended by itself, which the sign-in screen tells. */
  hasEnded = $state(false);

  /** Nothing can be brought before the address is confirmed. */
  mustConfirm = $state(false);

  async start() {
    onSignedOut(() => {
      if (this.user) this.hasEnded = true;
      this.user = null;
    });
    try {
      await this.take(await ask(api.GET("/users/me")));
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 401) throw error;
      this.user = null;
    }
  }

  async signIn(email: string, password: string) {
    const body = { username: email, password, scope: "" };
    const bodySerializer = () => new URLSearchParams({ username: email, password });
    const headers = { "Content-Type": "application/x-www-form-urlencoded" };
    await this.take(await ask(api.POST("/auth/session", { body, bodySerializer, headers })));
  }

  async signUp(email: string, password: string, invitation?: string) {
    await ask(api.POST("/users/", { body: { email, password, locale: language.locale, invitation } }));
    await this.signIn(email, password);
    // A time zone that the service does not know is no reason to keep anybody out.
    await this.change({ time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone }).catch(() => undefined);
  }

  async signOut() {
    await ask(api.DELETE("/auth/session"));
    this.user = null;
  }

  async change(change: Schemas["UserChange"]) {
    await this.take(await ask(api.PATCH("/users/me", { body: change })));
  }

  async delete() {
    await ask(api.DELETE("/users/me"));
    this.user = null;
  }

  private async take(user: User) {
    // Known before anything is shown, so that nothing moves.
    this.mustConfirm = !user.email_confirmed && (await methods()).email_confirmation;
    this.user = user;
    this.hasEnded = false;
    language.timeZone = user.time_zone ?? undefined;
    await language.choose(user.locale as Locale);
  }
}

export const session = new Session();
