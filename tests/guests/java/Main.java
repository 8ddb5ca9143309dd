// Files, channels, selectors, HTTP, names and children, in the ways of Java.
import java.io.*;
import java.net.*;
import java.net.http.*;
import java.nio.*;
import java.nio.channels.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.nio.file.attribute.*;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;

public class Main {
    static final String H = "10.77.0.2";

    interface Deed { Object done() throws Throwable; }

    static void show(String name, Deed deed) {
        try { System.out.println(name + " -> " + deed.done()); } catch (Throwable e) { System.out.println(name + " !! " + e.getClass().getSimpleName() + " " + (e instanceof FileSystemException f ? f.getFile() : e instanceof UnknownHostException ? "" : e.getMessage())); }
        System.out.flush();
    }

    static String hash(byte[] bytes) throws Exception { return HexFormat.of().formatHex(MessageDigest.getInstance("MD5").digest(bytes)); }

    static String text(ByteBuffer b) { b.flip(); return StandardCharsets.UTF_8.decode(b).toString(); }

    public static void main(String[] args) throws Exception {
        System.exit(args.length > 0 ? 9 : tell());
    }

    static int tell() throws Exception {
        Path d = Path.of("/data"), out = Path.of("/data/out/java");
        show("read", () -> Files.readString(Path.of("/app/config.toml")));
        show("stream", () -> { try (var in = new FileInputStream("/app/secret.key")) { return new String(in.readAllBytes()) + in.available(); } });
        show("none", () -> Files.readString(d.resolve("none")));
        show("directory", () -> new FileInputStream("/data"));
        show("lines", () -> { try (var l = Files.lines(d.resolve("orders.txt"))) { return l.count(); } });
        show("attributes", () -> { var a = Files.readAttributes(d.resolve("orders.txt"), PosixFileAttributes.class); return a.size() + " " + PosixFilePermissions.toString(a.permissions()) + " " + a.lastModifiedTime() + " " + a.owner() + " " + a.isRegularFile(); });
        show("unix view", () -> Files.readAttributes(d.resolve("link"), "unix:nlink,mode", LinkOption.NOFOLLOW_LINKS).keySet().size() + " " + Files.getAttribute(d.resolve("hard-link"), "unix:nlink"));
        show("tests", () -> List.of(Files.exists(d.resolve("dangling")), Files.isSymbolicLink(d.resolve("dangling")), Files.isDirectory(d.resolve("link-to-dir")), Files.isWritable(d.resolve("out")), Files.isSameFile(d.resolve("orders.txt"), d.resolve("hard-link")), new File("/data/none").exists(), new File("/data/big").length(), new File("/data/link").getCanonicalPath()));
        show("list", () -> { try (var s = Files.list(d.resolve("many"))) { return s.map(p -> p.getFileName().toString()).sorted().skip(290).collect(Collectors.joining(",")); } });
        show("walk", () -> { try (var s = Files.walk(d.resolve("deep"))) { return s.map(Path::toString).sorted().toList(); } });
        show("glob", () -> { try (var s = Files.newDirectoryStream(d.resolve("many"), "file-1?0")) { return StreamSupport.stream(s.spliterator(), false).map(Path::toString).sorted().toList(); } });
        show("links", () -> Files.readSymbolicLink(d.resolve("absolute-link")) + " " + d.resolve("link-to-dir/still").toRealPath() + " " + d.resolve("loop-a").toRealPath());
        show("File.list", () -> new File("/data/odd").list().length + " " + new File("/data/none").list());
        show("mapped", () -> { try (var c = FileChannel.open(d.resolve("big"))) { var m = c.map(FileChannel.MapMode.READ_ONLY, 0, c.size()); var h = MessageDigest.getInstance("MD5"); h.update(m); return HexFormat.of().formatHex(h.digest()); } });
        show("channel", () -> { try (var c = FileChannel.open(d.resolve("big"))) { var b = ByteBuffer.allocate(8); c.position(c.size() - 4); int n = c.read(b); var e = ByteBuffer.allocate(4); c.read(e, 1000); return n + " " + c.position() + " " + HexFormat.of().formatHex(e.array()); } });
        show("random access", () -> { try (var f = new RandomAccessFile("/data/orders.txt", "r")) { f.seek(100); f.readLine(); return f.readLine() + f.getFilePointer(); } });
        show("write", () -> write(out));
        show("copy here", () -> { var t = Files.createTempFile("java", "x"); Files.copy(d.resolve("one-mebibyte"), t, StandardCopyOption.REPLACE_EXISTING); long n = Files.size(t); Files.delete(t); return n; });
        show("socket", () -> { try (var s = new Socket("web.shop", 7003)) { var r = new BufferedReader(new InputStreamReader(s.getInputStream())); var a = r.readLine(); s.getOutputStream().write("abc".getBytes()); s.shutdownOutput(); return a + r.readLine() + " " + s.getRemoteSocketAddress() + " " + s.getPort(); } });
        show("refused", () -> new Socket(H, 81));
        show("unreachable", () -> new Socket("203.0.113.1", 80));
        show("time-out", () -> { var s = new Socket(); s.connect(new InetSocketAddress(H, 7005), 300); return s; });
        show("read time-out", () -> { try (var s = new Socket(H, 7)) { s.setSoTimeout(200); return s.getInputStream().read(); } });
        show("reset", () -> { try (var s = new Socket(H, 7002)) { s.getOutputStream().write(1); return s.getInputStream().read(); } });
        show("selector before the connect", () -> select(7));
        show("selector, refused", () -> select(81));
        show("blocking channel", () -> { try (var c = SocketChannel.open(new InetSocketAddress(H, 7))) { c.write(ByteBuffer.wrap("channel".getBytes())); var b = ByteBuffer.allocate(99); c.read(b); return text(b) + " " + c.getRemoteAddress(); } });
        show("not waiting, refused", () -> { try (var c = SocketChannel.open()) { c.configureBlocking(false); c.connect(new InetSocketAddress(H, 81)); while (!c.finishConnect()) Thread.sleep(5); return c; } });
        show("interrupted", () -> { var c = SocketChannel.open(); var t = new Thread(() -> { try { c.connect(new InetSocketAddress(H, 7005)); } catch (Exception e) { System.out.println(e.getClass().getSimpleName()); } }); t.start(); Thread.sleep(200); t.interrupt(); t.join(5000); return t.isAlive(); });
        show("server", Main::server);
        show("server channel", Main::serverChannel);
        show("datagram socket", () -> { try (var s = new DatagramSocket()) { s.setSoTimeout(5000); var p = new DatagramPacket("dgram".getBytes(), 5, InetAddress.getByName(H), 7); s.send(p); var r = new DatagramPacket(new byte[99], 99); s.receive(r); return new String(r.getData(), 0, r.getLength()) + r.getSocketAddress(); } });
        show("datagram channel", () -> { try (var c = DatagramChannel.open()) { c.connect(new InetSocketAddress(H, 7)); c.write(ByteBuffer.wrap("connected".getBytes())); var b = ByteBuffer.allocate(99); c.read(b); return text(b); } });
        show("unix", () -> { try (var c = SocketChannel.open(UnixDomainSocketAddress.of("/run/shop.sock"))) { var b = ByteBuffer.allocate(99); c.read(b); return text(b); } });
        var http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
        show("http", () -> { var r = http.send(HttpRequest.newBuilder(URI.create("http://web.shop/java")).build(), HttpResponse.BodyHandlers.ofString()); return r.statusCode() + " " + r.body() + r.version(); });
        show("post", () -> http.send(HttpRequest.newBuilder(URI.create("http://web.shop/p")).POST(HttpRequest.BodyPublishers.ofFile(Path.of("/data/one-mebibyte"))).build(), HttpResponse.BodyHandlers.ofString()).body());
        show("at once", () -> IntStream.range(0, 30).mapToObj(n -> http.sendAsync(HttpRequest.newBuilder(URI.create("http://web.shop/bytes/" + n * 1000)).build(), HttpResponse.BodyHandlers.ofByteArray())).toList().stream().mapToInt(f -> f.join().body().length).sum());
        show("http refused", () -> { try { return http.send(HttpRequest.newBuilder(URI.create("http://" + H + ":81/")).build(), HttpResponse.BodyHandlers.ofString()); } catch (ConnectException e) { return "refused"; } });
        show("http time-out", () -> { try { return HttpClient.newBuilder().connectTimeout(Duration.ofMillis(300)).build().send(HttpRequest.newBuilder(URI.create("http://" + H + ":7005/")).build(), HttpResponse.BodyHandlers.ofString()); } catch (HttpConnectTimeoutException e) { return "time-out"; } });
        show("https", () -> { var k = java.security.KeyStore.getInstance("PKCS12"); k.load(null); k.setCertificateEntry("c", java.security.cert.CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream("/data/tls/cert.pem"))); var t = javax.net.ssl.TrustManagerFactory.getInstance("PKIX"); t.init(k); var c = javax.net.ssl.SSLContext.getInstance("TLS"); c.init(null, t.getTrustManagers(), null); return HttpClient.newBuilder().sslContext(c).build().send(HttpRequest.newBuilder(URI.create("https://web.shop/chunked/40")).build(), HttpResponse.BodyHandlers.ofByteArray()).body().length; });
        show("URLConnection", () -> { var c = (HttpURLConnection) new URL("http://web.shop/url").openConnection(); return c.getResponseCode() + " " + new String(c.getInputStream().readAllBytes()); });
        show("names", () -> InetAddress.getByName("db.shop").getHostAddress() + " " + Arrays.stream(InetAddress.getAllByName("only-in-hosts.pod")).map(InetAddress::getHostAddress).toList() + " " + InetAddress.getByName("10.77.0.3").getHostName() + " " + InetAddress.getLocalHost().getHostName());
        show("no name", () -> InetAddress.getByName("nowhere.shop"));
        show("children", () -> { var p = new ProcessBuilder("sh", "-c", "pwd; cat still/yet/leaf; head -n 1 /data/orders.txt; exit 6").directory(new File("/data/deep/er")).start(); return new String(p.getInputStream().readAllBytes()) + p.waitFor(); });
        show("a pipe", () -> { var p = new ProcessBuilder("tr", "a-z", "A-Z").start(); p.getOutputStream().write("upper".getBytes()); p.getOutputStream().close(); return new String(p.getInputStream().readAllBytes()) + p.waitFor(); });
        show("redirected", () -> { var p = new ProcessBuilder("wc", "-c").redirectInput(new File("/data/orders.txt")).start(); return new String(p.getInputStream().readAllBytes()).trim(); });
        show("environment", () -> System.getenv("SHOP_NAME") + System.getenv("REDIS_URL"));
        show("threads", () -> { var pool = Executors.newFixedThreadPool(16); var all = IntStream.range(0, 60).mapToObj(n -> pool.submit(() -> Integer.parseInt(Files.readString(Path.of(String.format("/data/many/file-%03d", n))).trim()))).toList(); int sum = 0; for (var f : all) sum += f.get(); pool.shutdown(); return sum; });
        return 4;
    }

    static Object write(Path out) throws Exception {
        Files.createDirectories(out.resolve("x/y")); Path a = out.resolve("a"); Files.writeString(a, "one\n"); Files.writeString(a, "two\n", StandardOpenOption.APPEND); Files.copy(a, out.resolve("b")); Files.move(out.resolve("b"), out.resolve("x/c"), StandardCopyOption.ATOMIC_MOVE); Files.createSymbolicLink(out.resolve("l"), Path.of("x/c")); Files.createLink(out.resolve("h"), out.resolve("x/c")); Files.setPosixFilePermissions(a, PosixFilePermissions.fromString("rw-------")); a.toFile().setLastModified(2000);
        var told = new ArrayList<Object>(List.of(Files.readString(out.resolve("l")), Files.getPosixFilePermissions(a).size(), Files.getLastModifiedTime(a)));
        try { Files.createFile(a); } catch (FileAlreadyExistsException e) { told.add("exists"); }
        try { Files.delete(out.resolve("x")); } catch (DirectoryNotEmptyException e) { told.add("not empty"); }
        try (var c = FileChannel.open(out.resolve("m"), StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE)) { c.write(ByteBuffer.wrap(new byte[8192])); var m = c.map(FileChannel.MapMode.READ_WRITE, 0, 8192); m.put(4096, (byte) 'J'); m.force(); var b = ByteBuffer.allocate(1); c.read(b, 4096); told.add(text(b)); try (var lock = c.tryLock()) { told.add(lock.isValid()); } c.truncate(10); told.add(c.size()); c.transferTo(0, 10, Channels.newChannel(new ByteArrayOutputStream())); }
        try (var f = new RandomAccessFile(a.toFile(), "rw")) { f.seek(f.length()); f.writeBytes("three"); f.setLength(9); } told.add(Files.readString(a)); told.add(new File("/data/out/java/h").renameTo(new File("/data/out/java/k")));
        try (var s = Files.walk(out)) { told.add(s.sorted(Comparator.reverseOrder()).peek(p -> p.toFile().delete()).map(p -> out.relativize(p).toString()).toList()); }
        told.add(Files.exists(out)); return told;
    }

    static Object select(int port) throws Exception {
        try (var selector = Selector.open(); var c = SocketChannel.open()) {
            c.configureBlocking(false); var key = c.register(selector, SelectionKey.OP_CONNECT); selector.selectNow(); selector.selectedKeys().clear(); boolean at_once = c.connect(new InetSocketAddress(H, port)); var b = ByteBuffer.allocate(99); int n_seen = 0;
            while (true) {
                if (selector.select(5000) == 0 && !at_once) return "nothing after " + n_seen;
                for (var k : selector.selectedKeys()) {
                    if (k.isConnectable()) { c.finishConnect(); n_seen++; k.interestOps(SelectionKey.OP_WRITE); }
                    else if (k.isWritable()) { c.write(ByteBuffer.wrap("selected".getBytes())); n_seen++; k.interestOps(SelectionKey.OP_READ); }
                    else if (k.isReadable()) { c.read(b); return text(b) + " " + (n_seen + 1) + " " + c.getRemoteAddress(); }
                }
                selector.selectedKeys().clear();
            }
        }
    }

    static Object server() throws Exception {
        try (var s = new ServerSocket(0, 50, InetAddress.getLoopbackAddress())) {
            var t = new Thread(() -> { for (int n = 0; n < 3; n++) try (var c = s.accept()) { c.getOutputStream().write(new BufferedReader(new InputStreamReader(c.getInputStream())).readLine().toUpperCase().getBytes()); } catch (IOException e) { System.out.println(e); } }); t.start(); var told = new ArrayList<String>();
            for (int n = 0; n < 3; n++) try (var c = new Socket(s.getInetAddress(), s.getLocalPort())) { c.getOutputStream().write(("word " + n + "\n").getBytes()); told.add(new String(c.getInputStream().readAllBytes())); }
            t.join(); s.setSoTimeout(100); try { s.accept(); } catch (SocketTimeoutException e) { told.add("nobody"); } return told;
        }
    }

    static Object serverChannel() throws Exception {
        try (var selector = Selector.open(); var s = ServerSocketChannel.open()) {
            s.bind(new InetSocketAddress("127.0.0.1", 0)).configureBlocking(false); s.register(selector, SelectionKey.OP_ACCEPT); int port = ((InetSocketAddress) s.getLocalAddress()).getPort(); var clients = IntStream.range(0, 10).mapToObj(n -> CompletableFuture.supplyAsync(() -> { try (var c = new Socket("127.0.0.1", port)) { c.getOutputStream().write(n + 1); return c.getInputStream().read(); } catch (IOException e) { return -1; } })).toList(); int n_done = 0;
            while (n_done < 10) { selector.select(5000); for (var k : selector.selectedKeys()) { if (k.isAcceptable()) { for (SocketChannel c; (c = s.accept()) != null; ) { c.configureBlocking(false); c.register(selector, SelectionKey.OP_READ); } } else if (k.isReadable()) { var c = (SocketChannel) k.channel(); var b = ByteBuffer.allocate(1); if (c.read(b) > 0) { b.flip(); c.write(b); n_done++; } c.close(); } } selector.selectedKeys().clear(); }
            return clients.stream().mapToInt(CompletableFuture::join).sum();
        }
    }
}
