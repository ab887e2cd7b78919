/** The canvas: nodes by layers, ports named, errors told apart, search, minimap, and the keyboard from node to node. */
import { Trans, useLingui } from "@lingui/react/macro";
import {
  Background,
  Handle,
  MarkerType,
  MiniMap,
  Position,
  ReactFlow,
  ReactFlowProvider,
  useNodesState,
  useReactFlow,
  type Edge,
  type Node,
  type NodeProps,
} from "@xyflow/react";
import { createContext, memo, useContext, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { Button, Toolbar } from "react-aria-components";

import type { ExecutionLive, StepState } from "../live/execution";
import { Search } from "../ui/field";
import { useShortcuts } from "../ui/shortcuts";
import { Loading } from "../ui/states";
import { StatusBadge } from "../ui/status";
import { useTheme } from "../ui/theme";
import { HEIGHT, WIDTH } from "./arrange";
import { useLayout } from "./layout";
import { neighbour, type Graph, type GraphNode } from "./model";

type BoxNode = Node<{ node: GraphNode }, "box">;
export interface CanvasProps {
  graph: Graph;
  selected: string | null;
  onSelect: (id: string | null) => void;
  /** Colours the nodes by what they are doing. */
  live?: ExecutionLive;
}

const Live = createContext<ExecutionLive | undefined>(undefined);
const never = () => () => undefined;

export function Canvas(props: CanvasProps) {
  return (
    <Live.Provider value={props.live}>
      <ReactFlowProvider>
        <Laid {...props} />
      </ReactFlowProvider>
    </Live.Provider>
  );
}

function Laid(props: CanvasProps) {
  const places = useLayout(props.graph);
  if (places.data === undefined) return <Loading />;
  const shape = props.graph.nodes.map((node) => node.id).join();
  return <Drawn key={shape} {...props} places={places.data} />;
}

function Drawn({ graph, selected, onSelect, places }: CanvasProps & { places: Map<string, { x: number; y: number }> }) {
  const { t } = useLingui();
  const flow = useReactFlow();
  const theme = useTheme();
  const box = useRef<HTMLDivElement>(null);
  const [text, setText] = useState("");
  const found = useMemo(() => {
    const wanted = text.toLowerCase();
    if (!wanted) return [];
    return graph.nodes.filter((node) => `${node.id} ${node.name} ${node.type}`.toLowerCase().includes(wanted)).map((node) => node.id);
  }, [graph, text]);
  // sizes are fixed and the objects are made once: made anew, React Flow would hide them until it has measured them
  const [nodes, setNodes, onNodesChange] = useNodesState<BoxNode>(
    graph.nodes.map((node) => ({
      id: node.id,
      type: "box",
      position: places.get(node.id) ?? { x: 0, y: 0 },
      data: { node },
      width: WIDTH,
      height: HEIGHT,
      draggable: false,
      connectable: false,
      deletable: false,
      ariaLabel: t`Node ${node.name}, ${node.type}`,
      selected: node.id === selected,
    })),
  );
  const edges = useMemo<Edge[]>(
    () =>
      graph.edges.map((edge) => ({
        id: edge.id,
        source: edge.from,
        target: edge.to,
        type: "smoothstep",
        label: edge.port === "main" ? undefined : edge.port,
        ariaLabel: t`Edge from ${edge.from} to ${edge.to} by port ${edge.port}`,
        className: edge.isError ? "error" : "",
        animated: false,
        focusable: false,
        selectable: false,
        style: edge.isStart ? { strokeDasharray: "2 4" } : undefined,
        markerEnd: { type: MarkerType.ArrowClosed, color: edge.isError ? "var(--failed)" : "var(--line-strong)" },
      })),
    [graph, t],
  );
  useEffect(() => {
    setNodes((before) =>
      before.map((node) => {
        const isFound = found.includes(node.id) ? "found" : "";
        const isSelected = node.id === selected;
        return node.className === isFound && node.selected === isSelected ? node : { ...node, className: isFound, selected: isSelected };
      }),
    );
  }, [found, selected, setNodes]);
  const show = (id: string, focus: boolean) => {
    const place = places.get(id);
    if (place === undefined) return;
    const motion = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 200;
    void flow.setCenter(place.x + WIDTH / 2, place.y + HEIGHT / 2, { zoom: Math.max(flow.getZoom(), 0.7), duration: motion });
    if (focus) box.current?.querySelector<HTMLElement>(`.react-flow__node[data-id="${CSS.escape(id)}"]`)?.focus({ preventScroll: true });
  };
  useEffect(() => {
    if (found[0] !== undefined) show(found[0], false);
  }, [found]);
  const fit = () => void flow.fitView({ padding: 0.1, maxZoom: 1.2 });
  useShortcuts(t`Canvas`, [
    { keys: "f", label: t`Fit the whole workflow`, run: fit },
    { keys: "/", label: t`Search for a node`, run: () => box.current?.querySelector("input")?.focus() },
    {
      keys: "c",
      label: t`Go into the canvas; arrow keys then go along the edges`,
      run: () => {
        const id = selected ?? graph.nodes[0]?.id;
        if (id !== undefined) show(id, true);
      },
    },
  ]);
  const onKeyDown = (event: React.KeyboardEvent) => {
    const id = (event.target as HTMLElement).closest<HTMLElement>(".react-flow__node")?.dataset["id"];
    if (id === undefined) return;
    if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      event.stopPropagation();
      const next = neighbour(graph, places, id, event.key);
      if (next !== null) show(next, true);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      onSelect(id);
    } else if (event.key === "Escape") onSelect(null);
  };
  const total = graph.nodes.length;
  return (
    <div className="canvas" ref={box} dir="ltr" role="region" aria-label={t`Canvas`} onKeyDownCapture={onKeyDown}>
      <div className="canvas-bar">
        <div dir="auto">
          <Search label={t`Search for a node`} value={text} onChange={setText} />
          <span className="soft" role="status">
            {text && <Trans>{found.length} of {total} nodes</Trans>}
          </span>
        </div>
        <Toolbar className="tools" aria-label={t`View`}>
          <Button className="button" aria-label={t`Zoom in`} onPress={() => void flow.zoomIn()}>
            +
          </Button>
          <Button className="button" aria-label={t`Zoom out`} onPress={() => void flow.zoomOut()}>
            −
          </Button>
          <Button className="button" onPress={fit}>
            <Trans>Fit</Trans>
          </Button>
        </Toolbar>
      </div>
      <ReactFlow
        nodes={nodes}
        edges={edges}
        nodeTypes={NODE_TYPES}
        onNodesChange={onNodesChange}
        onNodeClick={(_, node) => onSelect(node.id)}
        onPaneClick={() => onSelect(null)}
        colorMode={theme}
        fitView
        fitViewOptions={{ padding: 0.1, maxZoom: 1.2 }}
        minZoom={0.05}
        nodesDraggable={false}
        nodesConnectable={false}
        edgesFocusable={false}
        deleteKeyCode={null}
        disableKeyboardA11y={false}
        ariaLabelConfig={{
          "node.a11yDescription.default": t`Enter opens the node, arrow keys go along the edges.`,
          "node.a11yDescription.keyboardDisabled": t`Enter opens the node, arrow keys go along the edges.`,
          "node.a11yDescription.ariaLiveMessage": () => "",
          "edge.a11yDescription.default": t`Edges are told with the node that they leave.`,
          "handle.ariaLabel": "",
          "minimap.ariaLabel": t`Map of the whole workflow`,
        }}
      >
        <Background gap={24} />
        {total > 8 && <MiniMap pannable zoomable ariaLabel={t`Map of the whole workflow`} nodeColor="var(--line-strong)" />}
      </ReactFlow>
    </div>
  );
}

const Box = memo(function Box({ data }: NodeProps<BoxNode>) {
  const { node } = data;
  const live = useContext(Live);
  const state: StepState | undefined = useSyncExternalStore(live ? (listener) => live.subscribe(node.id, listener) : never, () => live?.step(node.id));
  return (
    <div className={`node s-${state?.status ?? "idle"}`} data-status={state?.status}>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <b data-text>{node.name}</b>
      {state ? <StatusBadge status={state.status} /> : <span className="type">{node.inside > 0 ? `${node.type} (${node.inside})` : node.type}</span>}
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
});

const NODE_TYPES = { box: Box };
