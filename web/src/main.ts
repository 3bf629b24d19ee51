import { mount } from "svelte";
import App from "./App.svelte";
import { language } from "./i18n/index.svelte";
import { router } from "./router.svelte";
import { session } from "./session/session.svelte";
import "./styles/app.css";
import "./styles/controls.css";

const target = document.getElementById("app");
if (!target) throw new Error("index.html has no #app");

router.start();
await Promise.all([language.start(), session.start().catch(() => (session.user = null))]);
mount(App, { target });
