from pullse.cli import main

main()
