using System.Diagnostics;

namespace Rpal.Memory.Tests;

public sealed class SampleTests
{
    [Fact]
    public void The_sample_passes_its_frames()
    {
        using Process frames = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "Frames")) { RedirectStandardOutput = true })!;
        string printed = frames.StandardOutput.ReadToEnd();
        Assert.True(frames.WaitForExit(PeerProcess.Patience), printed);
        Assert.Equal((0, true), (frames.ExitCode, printed.Contains("viewer: 200 frames, 0 wrong", StringComparison.Ordinal)));
    }
}
