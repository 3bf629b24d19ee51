/** What a form is doing, and what was wrong with it. */

import { Refusal } from "../api/client";
import { sentence } from "../api/refusals";

export class Form {
  isBusy = $state(false);
  wrong = $state("");
  fields = $state.raw<string[]>([]);
  code = $state("");

  /** Does it once at a time; what is refused stays as a sentence. */
  async send(action: () => Promise<unknown>): Promise<boolean> {
    if (this.isBusy) return false;
    this.isBusy = true;
    this.wrong = this.code = "";
    this.fields = [];
    try {
      await action();
      return true;
    } catch (error) {
      this.wrong = sentence(error);
      if (error instanceof Refusal) {
        this.fields = error.fields;
        this.code = error.code;
      }
      return false;
    } finally {
      this.isBusy = false;
    }
  }
}
