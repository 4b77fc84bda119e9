import type { JSX } from "preact";
import { LocationProvider, Route, Router } from "preact-iso/router";
import { ConversationPage } from "./conversation/conversation-page.tsx";
import { key, place } from "./http/api.ts";
import { OperatePage } from "./operate/operate-page.tsx";
import { OverviewPage } from "./overview/overview-page.tsx";
import { SessionsPage } from "./sessions/sessions-page.tsx";
import { Login } from "./view/login.tsx";
import { Shell } from "./view/shell.tsx";
import { Blank, Loading, href } from "./view/parts.tsx";

export function App(): JSX.Element {
  if (key.value === undefined)
    return (
      <main class="login">
        <Loading lines={3} />
      </main>
    );
  if (key.value === null) return <Login />;
  return (
    <LocationProvider scope={new RegExp(`^${place.base}(/|$)`)}>
      <Shell>
        <Router onRouteChange={announce}>
          <Route path={href("/")} component={SessionsPage} />
          <Route path={href("/overview")} component={OverviewPage} />
          <Route path={href("/operate/:tool?")} component={OperatePage} />
          <Route path={href("/sessions/:id/:tab?")} component={ConversationPage} />
          <Route default component={Missing} />
        </Router>
      </Shell>
    </LocationProvider>
  );
}

/** A new page begins at its top, and its heading is what a screen reader reads first. */
function announce(): void {
  requestAnimationFrame(() => document.querySelector<HTMLElement>("main")?.focus({ preventScroll: true }));
}

function Missing(): JSX.Element {
  return (
    <Blank title="There is no such page">
      <p>
        <a href={href("/")}>Sessions</a>
      </p>
    </Blank>
  );
}
