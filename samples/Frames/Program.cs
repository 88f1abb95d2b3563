// A camera process fills frames, a viewer process reads them where they are: one pool of blocks, two semaphores, no copy. Try it:
//   dotnet run -c Release --project samples/Frames             both processes
//   Frames view PATH, then Frames film PATH                    each by itself; kill -9 either at any time
using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Rpal.Memory.Blocks;
using Rpal.Memory.Parties;
using Rpal.Memory.Segments;
using Rpal.Memory.Waiting;

const int frames = 200, frameBytes = 1_000_000, slots = 4;
TimeSpan patience = TimeSpan.FromSeconds(10), step = TimeSpan.FromSeconds(1);

try
{
    return args switch
    {
        ["view", var path] => View(path),
        ["film", var path] => Film(path),
        _ => Both(Path.Combine(Path.GetTempPath(), $"frames-{Environment.ProcessId}")),
    };
}
catch (Exception e) when (e is IOException or SocketException)             // a partner that died or never came; SegmentException is an IOException
{
    Console.Error.WriteLine($"{(args is ["view", ..] ? "viewer" : "camera")}: {e.Message}");
    return 1;
}

int Both(string path)
{
    using var viewer = Process.Start(Environment.ProcessPath!, ["view", path]);
    using var camera = Process.Start(Environment.ProcessPath!, ["film", path]);
    camera.WaitForExit();
    viewer.WaitForExit();
    File.Delete(path);
    return Math.Max(camera.ExitCode, viewer.ExitCode);
}

int Film(string path)
{
    // Three parts, known to the viewer by number: 0 pool, 1 semaphores, 2 the frames on their way.
    using Segment segment = Segment.Create(16 << 20);
    BlockPool pool = BlockPool.Create(segment, new BlockPoolOptions { BlockBytes = 65536, BlockCount = 128 });
    SharedSemaphore[] semaphores = SharedSemaphore.CreateMany(segment, 2);
    (SharedSemaphore filled, SharedSemaphore room) = (semaphores[0], semaphores[1]);
    Span<BlockReference> sent = MemoryMarshal.Cast<byte, BlockReference>(segment.AddBytes(slots * BlockReference.SizeBytes).Bytes);
    room.Release(slots);
    using Socket socket = Connect(path);
    SegmentTransfer.Send(segment, socket.SafeHandle, patience, out Party viewer);

    var watch = Stopwatch.StartNew();
    for (int i = 0; i < frames; i++)
    {
        Await(room, segment, viewer);
        BlockStatus status = pool.TryReserveChain(frameBytes, out BlockChain? frame);
        using (frame)
        {
            for (int piece = 0; piece < frame?.PieceCount; piece++)
            {
                frame.Piece(piece).Fill((byte)i);
            }

            status = frame?.TryOffer(viewer, out sent[i % slots]) ?? status;          // the viewer's from here on, also if this process dies
        }

        if (status != BlockStatus.Done)
        {
            throw new IOException($"Frame {i} does not go to {segment.Describe(viewer)}: {status}.");
        }

        filled.Release();
    }

    for (int i = 0; i < slots; i++)
    {
        Await(room, segment, viewer);                                      // all taken: every slot is free again
    }

    Console.WriteLine($"camera: {frames} frames of {frameBytes:N0} bytes, {frames * (double)frameBytes / watch.Elapsed.TotalSeconds / 1e9:0.0} GB/s");
    return 0;
}

int View(string path)
{
    using Socket socket = Accept(path);
    using Segment segment = SegmentTransfer.Receive(socket.SafeHandle, patience, out Party camera);
    BlockPool pool = BlockPool.Open(segment, part: 0);
    (SharedSemaphore filled, SharedSemaphore room) = (SharedSemaphore.Open(segment, part: 1, index: 0), SharedSemaphore.Open(segment, part: 1, index: 1));
    ReadOnlySpan<BlockReference> sent = MemoryMarshal.Cast<byte, BlockReference>(segment.Find(2, PartKind.Bytes).Bytes);
    int wrong = 0;
    for (int i = 0; i < frames; i++)
    {
        Await(filled, segment, camera);
        bool isRight = pool.TryAcceptChain(sent[i % slots], out BlockChain? frame) == BlockStatus.Done;
        using (frame)
        {
            for (int piece = 0; piece < frame?.PieceCount; piece++)
            {
                isRight &= !frame.Piece(piece).ContainsAnyExcept((byte)i);
            }
        }

        wrong += isRight ? 0 : 1;
        room.Release();
    }

    Console.WriteLine($"viewer: {frames} frames, {wrong} wrong");
    return wrong == 0 ? 0 : 1;
}

// Step by step: a wait does not end because somebody died, but whoever waits can ask.
void Await(SharedSemaphore semaphore, Segment segment, Party partner)
{
    for (var since = Stopwatch.StartNew(); semaphore.Wait(step) != WaitStatus.Acquired;)
    {
        if (!segment.IsAlive(partner) || since.Elapsed > patience)
        {
            throw new IOException($"{segment.Describe(partner)} {(segment.IsAlive(partner) ? "does nothing" : "has died or left")}.");
        }
    }
}

Socket Accept(string path)
{
    File.Delete(path);
    using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    listener.Bind(new UnixDomainSocketEndPoint(path));
    listener.Listen();
    return listener.Poll(patience, SelectMode.SelectRead) ? listener.Accept() : throw new IOException("No camera came.");
}

Socket Connect(string path)
{
    var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    for (var since = Stopwatch.StartNew(); !socket.Connected; Thread.Sleep(10))            // the viewer may still be starting
    {
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException) when (since.Elapsed < patience)
        {
        }
    }

    return socket;
}
